// A scaling policy: a score by the doublings of the reference's data that the gain in loss is worth.
//
// What a gain in loss is worth is read from the reference's own curve: what it gained in the second half of
// its run is what doubling its data is worth. A score is 0.5 for a model equal to the reference.

import log from "prism:plugin/log@1.0.0";
import { schema } from "./settings.schema.js";

const NAME = "my-policy";
const VERSION = "0.1.0";
const ARCHITECTURE_SHARE = 0.7;
const NOTHING = { value: 0, stdError: 0, samples: 0 };

const defaults = Object.fromEntries(
  Object.entries(schema.properties).map(([name, member]) => [name, member.default]),
);

export const meta = {
  describe() {
    return {
      name: NAME,
      version: VERSION,
      summary: "Scores by the doublings of the reference's data that the gain in loss is worth",
      settingsSchema: JSON.stringify(schema),
      defaultSettings: JSON.stringify(defaults),
    };
  },

  checkSettings(text) {
    const { problem } = readSettings(text);
    return problem ? [problem] : [];
  },
};

export const scaling = {
  analyse(text, telemetry) {
    const { problem, settings } = readSettings(text);
    if (problem) throw { tag: "bad-settings", val: problem };
    try {
      return analyse(settings, telemetry);
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
  const { tail_steps: tailSteps, halfway_doublings: halfway } = settings;
  const formed =
    given !== null && typeof given === "object" && !Array.isArray(given) &&
    Object.keys(settings).every((name) => name in defaults) &&
    Number.isInteger(tailSteps) && tailSteps >= 0 && tailSteps < 2 ** 32 &&
    typeof halfway === "number";
  if (!formed) return { problem: "the settings do not have the form of the schema" };
  if (tailSteps === 0) return { problem: "`tail_steps` is 0" };
  if (halfway <= 0) return { problem: "`halfway_doublings` is not above 0" };
  return { settings: { tailSteps, halfway } };
}

function analyse(settings, telemetry) {
  const runs = telemetry.runs.filter((run) => run.role === "candidate");
  const base = runs.filter((run) => run.probe === "base");
  const broken = base.filter((run) => run.status !== "ok");
  if (broken.length > 0) return rejected(broken.map(brokenRun));
  const plain = compare(settings, telemetry, base.filter((run) => !run.ownRecipe));
  if (plain.pairs.length === 0) throw invalid("there is no base run of the candidate");
  const own = compare(settings, telemetry, base.filter((run) => run.ownRecipe));
  const stability = runs.filter((run) => run.status === "ok").length / runs.length;
  log.write("info", `${plain.pairs.length + own.pairs.length} pairs compared`);

  const qArch = score(settings, plain.doublings);
  const qRecipe = score(settings, own.doublings);
  const architecture = ARCHITECTURE_SHARE * qArch.value;
  const recipe = (1 - ARCHITECTURE_SHARE) * qRecipe.value;
  const instability = (architecture + recipe) * stability - (architecture + recipe);
  const bar = (name, value, explanation) => ({ name, value, explanation });
  const { value, stdError, samples } = plain.doublings;
  return {
    outcome: "scored",
    qArch,
    qRecipe,
    stability,
    gain: { value: value * Math.LN2, stdError: stdError * Math.LN2, samples },
    quality: architecture + recipe + instability,
    contributions: [
      bar("architecture", architecture, "0.7 of the architecture's score"),
      bar("recipe", recipe, "0.3 of the recipe's score"),
      bar("instability", instability, "the share of runs that did not end well is taken off"),
    ],
    metrics: [{ name: "doublings", value }],
    architecturePairs: plain.pairs,
    recipePairs: own.pairs,
    findings: [],
  };
}

// Candidate against reference, and what the mean gain is worth.
function compare(settings, telemetry, runs) {
  const pairs = [];
  const worths = [];
  for (const run of runs) {
    const reference = telemetry.runs.find(
      (other) =>
        other.role === "reference" && other.probe === "base" &&
        other.sizeId === run.sizeId && other.seedIndex === run.seedIndex,
    );
    if (!reference) throw invalid(`\`${run.runId}\` has no run of the reference beside it`);
    const candidateEnd = losses(settings, run).end;
    const { half, end } = losses(settings, reference);
    const doubling = half - end;
    if (doubling <= 0) throw invalid(`the reference learned nothing late in \`${reference.runId}\``);
    const gainBpb = end - candidateEnd;
    pairs.push({ sizeId: run.sizeId, seedIndex: run.seedIndex, gainBpb });
    worths.push(gainBpb / doubling);
  }
  return { pairs, doublings: mean(worths) };
}

// Loss half way and at the end, bits per byte.
function losses(settings, run) {
  const steps = run.nllSumNats.length;
  const tail = settings.tailSteps;
  if (steps !== run.byteCount.length || steps < 2 * tail) {
    throw invalid(`\`${run.runId}\` has too few steps, or columns of unequal length`);
  }
  const until = (end) =>
    total(run.nllSumNats.slice(end - tail, end)) / total(run.byteCount.slice(end - tail, end)) /
    Math.LN2;
  const half = until(Math.floor(steps / 2));
  const end = until(steps);
  if (!Number.isFinite(half) || !Number.isFinite(end)) {
    throw invalid(`\`${run.runId}\` has losses that are no numbers`);
  }
  return { half, end };
}

function total(values) {
  return values.reduce((added, value) => added + value, 0);
}

function mean(values) {
  const count = values.length;
  if (count === 0) return NOTHING;
  const centre = total(values) / count;
  const squares = total(values.map((value) => (value - centre) * (value - centre)));
  const stdError = count > 1 ? Math.sqrt(squares / (count - 1) / count) : 0;
  return { value: centre, stdError, samples: count };
}

// From doublings, minus to plus infinity, to a score, 0 to 1; the error by the slope.
function score(settings, doublings) {
  const reach = Math.abs(doublings.value) + settings.halfway;
  return {
    value: 0.5 + (0.5 * doublings.value) / reach,
    stdError: ((0.5 * settings.halfway) / (reach * reach)) * doublings.stdError,
    samples: doublings.samples,
  };
}

function brokenRun(run) {
  const steps = `${run.stepsDone} of ${run.stepsPlanned} steps`;
  return {
    ruleId: "RUN-INCOMPLETE",
    severity: "error",
    message: `the run \`${run.runId}\` ended as \`${run.status}\` after ${steps}`,
    remedy: "make it train to the end at every size",
    path: null,
    line: 0,
    column: 0,
  };
}

function rejected(findings) {
  return {
    outcome: "rejected",
    qArch: NOTHING,
    qRecipe: NOTHING,
    stability: 0,
    gain: NOTHING,
    quality: 0,
    contributions: [],
    metrics: [],
    architecturePairs: [],
    recipePairs: [],
    findings,
  };
}
