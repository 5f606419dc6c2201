// A review policy: listed modules only, and a person looks at what resembles earlier work.

import log from "prism:plugin/log@1.0.0";
import { schema } from "./settings.schema.js";

const NAME = "my-policy";
const VERSION = "0.1.0";
const FINDINGS_MAX = 200; // the host takes no more

const defaults = Object.fromEntries(
  Object.entries(schema.properties).map(([name, member]) => [name, member.default]),
);

export const meta = {
  describe() {
    return {
      name: NAME,
      version: VERSION,
      summary: "Allows listed modules only and holds what resembles earlier work",
      settingsSchema: JSON.stringify(schema),
      defaultSettings: JSON.stringify(defaults),
    };
  },

  checkSettings(text) {
    const { problem } = readSettings(text);
    return problem ? [problem] : [];
  },
};

export const review = {
  judge(text, facts) {
    const { problem, settings } = readSettings(text);
    if (problem) throw { tag: "bad-settings", val: problem };
    try {
      return judge(settings, facts);
    } catch (thrown) {
      // A bug ends in a trap, which has no text; the log has.
      if (thrown instanceof Error) log.write("warn", String(thrown));
      throw thrown;
    }
  },
};

// What is left out has its default.
function readSettings(text) {
  const given = JSON.parse(text);
  const settings = { ...defaults, ...given };
  const ppm = settings.hold_similarity_ppm;
  const formed =
    given !== null && typeof given === "object" && !Array.isArray(given) &&
    Object.keys(settings).every((name) => name in defaults) &&
    isNames(settings.allowed_modules) && isNames(settings.refused_builtins) &&
    Number.isInteger(ppm) && ppm >= 0 && ppm < 2 ** 32;
  if (!formed) return { problem: "the settings do not have the form of the schema" };
  const dotted = settings.allowed_modules.find((name) => name.includes("."));
  if (dotted !== undefined) return { problem: `\`${dotted}\` is not a top-level module` };
  return { settings };
}

function isNames(value) {
  return Array.isArray(value) && value.every((name) => typeof name === "string");
}

function judge(settings, facts) {
  if (facts.files.every((file) => file.path !== facts.entrypoint)) {
    const why = `the entry module \`${facts.entrypoint}\` is not among the files`;
    throw { tag: "invalid-facts", val: why };
  }
  const findings = facts.observations.map((seen) => refusal(settings, seen)).filter(Boolean);
  const refused = findings.length;
  log.write("info", `${refused} of ${facts.observations.length} observations refused`);
  const alike = facts.neighbours.filter((other) => !other.sameHotkey);
  const most = Math.max(0, ...alike.map((other) => other.similarityPpm));
  const held = most > 0 && most >= settings.hold_similarity_ppm;
  findings.splice(FINDINGS_MAX - 1);
  if (held) {
    findings.push({
      ruleId: "COPY-SUSPECTED",
      severity: "hold",
      message: `it is ${most} parts per million alike to another hotkey's earlier work`,
      remedy: "a person looks at both",
      path: null,
      line: 0,
      column: 0,
    });
  }
  const decision = refused > 0 ? "reject" : held ? "hold" : "accept";
  return { decision, findings };
}

// What is wrong with one thing that was seen, if anything is.
function refusal(settings, seen) {
  const error = (ruleId, message, remedy) => {
    const { path, line, column } = seen;
    return { ruleId, severity: "error", message, remedy, path, line, column };
  };
  if (seen.kind === "unreadable") {
    const remedy = "send UTF-8 text that Python can parse";
    return error("FILE-UNREADABLE", "the file cannot be read as Python", remedy);
  }
  if (seen.local) return null;
  if (seen.kind === "import-module" || seen.kind === "import-name") {
    const module = seen.name.split(".")[0];
    if (settings.allowed_modules.includes(module)) return null;
    const remedy = "do without it, or ask for it to be put on the list";
    return error("IMPORT-NOT-LISTED", `the module \`${module}\` is not on the list`, remedy);
  }
  const used = seen.kind === "reference" || seen.kind === "call";
  if (used && settings.refused_builtins.includes(seen.name)) {
    return error("BUILTIN-REFUSED", `\`${seen.name}\` is refused`, "do without it");
  }
  return null;
}
