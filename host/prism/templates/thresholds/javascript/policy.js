// A thresholds policy: asks for a mean gain on shared seeds that is well above its error.

import log from "prism:plugin/log@1.0.0";
import { schema } from "./settings.schema.js";

const NAME = "my-policy";
const VERSION = "0.1.0";
const TRANSFER_FACTOR = 2; // taking something from its owner asks for so many times the gain

const defaults = Object.fromEntries(
  Object.entries(schema.properties).map(([name, member]) => [name, member.default]),
);

export const meta = {
  describe() {
    return {
      name: NAME,
      version: VERSION,
      summary: "Asks for a mean gain on shared seeds that is well above its error",
      settingsSchema: JSON.stringify(schema),
      defaultSettings: JSON.stringify(defaults),
    };
  },

  checkSettings(text) {
    const { problem } = readSettings(text);
    return problem ? [problem] : [];
  },
};

export const thresholds = {
  assess(text, comparison) {
    const { problem, settings } = readSettings(text);
    if (problem) throw { tag: "bad-settings", val: problem };
    try {
      return assess(settings, comparison);
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
  const margins = [settings.least_gain_bpb, settings.errors_above];
  const seedsMin = settings.seeds_min;
  const formed =
    given !== null && typeof given === "object" && !Array.isArray(given) &&
    Object.keys(settings).every((name) => name in defaults) &&
    margins.every((margin) => typeof margin === "number") &&
    Number.isInteger(seedsMin) && seedsMin >= 0 && seedsMin < 2 ** 32;
  if (!formed) return { problem: "the settings do not have the form of the schema" };
  if (margins.some((margin) => margin < 0)) return { problem: "a margin is below 0" };
  if (seedsMin < 2) return { problem: "`seeds_min` is below 2: one seed knows no error" };
  return { settings };
}

function assess(settings, comparison) {
  if (comparison.acceptancesBefore > comparison.testsBefore) {
    throw invalid("more acceptances before than tests");
  }
  const gains = comparison.pairedGainsBpb;
  const transfer = ["architecture-transfer", "training-transfer"].includes(comparison.subject);
  const least = settings.least_gain_bpb * (transfer ? TRANSFER_FACTOR : 1);
  const enough = gains.length >= settings.seeds_min;
  const { mean, error } = enough ? meanAndError(gains) : { mean: 0, error: 0 };
  const criticalValue = least + settings.errors_above * error;
  const delta = comparison.candidate.value - comparison.incumbent.value;
  let [outcome, why] = ["meaningful", "the gain is real and large enough"];
  if (!enough) {
    [outcome, why] = ["undecided", "more seeds could tell"];
  } else if (mean <= criticalValue) {
    [outcome, why] = ["not-meaningful", "the gain is within what noise or a trifle could be"];
  } else if (delta <= 0) {
    [outcome, why] = ["not-meaningful", "the loss is better but the score is not"];
  }
  log.write("debug", `${gains.length} shared seeds`);
  const explanation = `over ${gains.length} shared seeds ${why}`;
  return { outcome, delta, requiredDelta: 0, statistic: mean, criticalValue, explanation };
}

// Mean of two or more, and its standard error.
function meanAndError(values) {
  const count = values.length;
  const total = (list) => list.reduce((sum, value) => sum + value, 0);
  const mean = total(values) / count;
  const squares = total(values.map((value) => (value - mean) * (value - mean)));
  return { mean, error: Math.sqrt(squares / (count - 1) / count) };
}
