// A rewards policy: pays the owners of families by the score above a floor.

import log from "prism:plugin/log@1.0.0";
import { schema } from "./settings.schema.js";

const NAME = "my-policy";
const VERSION = "0.1.0";
const WHOLE_PPM = 1_000_000;

const defaults = Object.fromEntries(
  Object.entries(schema.properties).map(([name, member]) => [name, member.default]),
);

export const meta = {
  describe() {
    return {
      name: NAME,
      version: VERSION,
      summary: "Pays the owners of families by the score above a floor",
      settingsSchema: JSON.stringify(schema),
      defaultSettings: JSON.stringify(defaults),
    };
  },

  checkSettings(text) {
    const { problem } = readSettings(text);
    return problem ? [problem] : [];
  },
};

export const rewards = {
  weigh(text, ledger) {
    const { problem, settings } = readSettings(text);
    if (problem) throw { tag: "bad-settings", val: problem };
    try {
      return weigh(settings, ledger);
    } catch (thrown) {
      // A bug ends in a trap, which has no text; the log has.
      if (thrown instanceof Error) log.write("warn", String(thrown));
      throw thrown;
    }
  },
};

const invalid = (why) => ({ tag: "invalid-facts", val: why });

// What is left out has its default.
function readSettings(text) {
  const given = JSON.parse(text);
  const settings = { ...defaults, ...given };
  const ppm = settings.floor_ppm;
  const formed =
    given !== null && typeof given === "object" && !Array.isArray(given) &&
    Object.keys(settings).every((name) => name in defaults) &&
    Number.isInteger(ppm) && ppm >= 0 && ppm < 2 ** 32;
  if (!formed) return { problem: "the settings do not have the form of the schema" };
  if (ppm > 1_000_000) return { problem: "`floor_ppm` is above 1000000" };
  return { settings };
}

// Whole numbers only: this reaches consensus.
function weigh(settings, ledger) {
  const { families } = ledger;
  for (let place = 1; place < families.length; place += 1) {
    if (families[place - 1].familyId >= families[place].familyId) {
      throw invalid("the families are not in the order of their identifiers");
    }
  }
  const points = families.map((family) => Math.max(0, family.qArchBestPpm - settings.floor_ppm));
  const weights = new Map();
  shares(points).forEach((ppm, place) => {
    if (ppm === 0) return;
    const { hotkey, familyId: sourceId } = families[place];
    if (!weights.has(hotkey)) weights.set(hotkey, { hotkey, ppm: 0, sources: [] });
    const weight = weights.get(hotkey);
    weight.ppm += ppm;
    const explanation = `its architecture scores ${points[place]} parts per million above the floor`;
    weight.sources.push({ sourceId, ppm, explanation });
  });
  log.write("info", `${weights.size} owners are paid`);
  return [...weights.keys()].sort().map((hotkey) => weights.get(hotkey));
}

// The whole in proportion to the points. What rounding leaves over goes to the largest remainders, and among
// equal ones to the first. BigInt, for a ledger may be long and points times the whole are 12 digits each.
function shares(points) {
  const total = points.reduce((sum, own) => sum + BigInt(own), 0n);
  if (total === 0n) return points.map(() => 0);
  const scaled = points.map((own) => BigInt(own) * BigInt(WHOLE_PPM));
  const shares = scaled.map((own) => Number(own / total));
  const order = scaled.map((own, place) => ({ rest: own % total, place }));
  order.sort((one, other) => (one.rest === other.rest ? 0 : one.rest > other.rest ? -1 : 1));
  const spare = WHOLE_PPM - shares.reduce((sum, share) => sum + share, 0);
  for (const { place } of order.slice(0, spare)) shares[place] += 1;
  return shares;
}
