// An attribution policy: the first to send an architecture owns it; what is alike waits for a person.

import log from "prism:plugin/log@1.0.0";
import { schema } from "./settings.schema.js";

const NAME = "my-policy";
const VERSION = "0.1.0";

const defaults = Object.fromEntries(
  Object.entries(schema.properties).map(([name, member]) => [name, member.default]),
);

export const meta = {
  describe() {
    return {
      name: NAME,
      version: VERSION,
      summary: "The first to send an architecture owns it; what is alike waits for a person",
      settingsSchema: JSON.stringify(schema),
      defaultSettings: JSON.stringify(defaults),
    };
  },

  checkSettings(text) {
    const { problem } = readSettings(text);
    return problem ? [problem] : [];
  },
};

export const attribution = {
  attribute(text, candidate) {
    const { problem, settings } = readSettings(text);
    if (problem) throw { tag: "bad-settings", val: problem };
    try {
      return attribute(settings, candidate);
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
  const ppm = settings.hold_similarity_ppm;
  const formed =
    given !== null && typeof given === "object" && !Array.isArray(given) &&
    Object.keys(settings).every((name) => name in defaults) &&
    Number.isInteger(ppm) && ppm >= 0 && ppm < 2 ** 32;
  if (!formed) return { problem: "the settings do not have the form of the schema" };
  if (ppm > 1_000_000) return { problem: "`hold_similarity_ppm` is above 1000000" };
  return { settings };
}

function attribute(settings, candidate) {
  if (!(candidate.quality >= 0 && candidate.quality <= 1)) {
    throw invalid("the quality is not between 0 and 1");
  }
  log.write("debug", `${candidate.families.length} known families`);
  if (candidate.kind === "training-for-arch") {
    const target = candidate.families.find((family) => family.targeted);
    if (!target) {
      const why = "the family that it trains is not known";
      return unanswered(candidate, "reject", "error", "TARGET-UNKNOWN", why);
    }
    const why = "it trains a family that is known";
    return applied(candidate, { tag: "none" }, training(candidate, target), why);
  }
  const family = candidate.families.find((known) => known.sameArchitecture);
  if (family) {
    const earned = !family.sameOwner && family.architecture.outcome === "meaningful";
    const action = { tag: earned ? "transfer" : "existing", val: family.familyId };
    const why = earned
      ? "it makes a known architecture meaningfully better"
      : "its architecture is known";
    return applied(candidate, action, training(candidate, family), why);
  }
  const near = (known) => !known.sameOwner && known.similarityPpm >= settings.hold_similarity_ppm;
  if (candidate.families.some(near)) {
    const why = "it is much like a family of another owner";
    return unanswered(candidate, "hold", "hold", "FAMILY-ALIKE", why);
  }
  const why = "no known family has its architecture";
  return applied(candidate, { tag: "new" }, training(candidate, null), why);
}

// The training within a family, or in a new one; and whether it becomes the family's best.
function training(candidate, family) {
  if (candidate.kind === "architecture-only") return { action: { tag: "none" }, best: false };
  if (!family) return { action: { tag: "new" }, best: true };
  const variant = candidate.variants.find(
    (known) => known.familyId === family.familyId && known.sameTraining,
  );
  if (variant) return { action: { tag: "existing", val: variant.variantId }, best: false };
  const best = family.training === null || family.training.outcome === "meaningful";
  return { action: { tag: "new" }, best };
}

function applied(candidate, architecture, { action, best }, reason) {
  const value = candidate.quality;
  const explanation = "the quality from the scaling report";
  return {
    decision: "apply",
    architecture,
    training: action,
    becomesCurrentBest: best,
    confidence: 1,
    reason,
    finalScore: value,
    contributions: [{ name: "quality", value, explanation }],
    findings: [],
  };
}

// Nothing is applied.
function unanswered(candidate, decision, severity, ruleId, reason) {
  const nothing = { action: { tag: "none" }, best: false };
  const place = { path: null, line: 0, column: 0 };
  const finding = { ruleId, severity, message: reason, remedy: "", ...place };
  return { ...applied(candidate, { tag: "none" }, nothing, reason), decision, findings: [finding] };
}
