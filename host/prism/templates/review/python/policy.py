"""A review policy: listed modules only, and a person looks at what resembles earlier work."""

import json
from pathlib import Path

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import meta
from wit_world.exports.review import Decision, ObservationKind as Kind, Verdict
from wit_world.imports import log
from wit_world.imports.types import (
    Finding, PolicyError_BadSettings, PolicyError_InvalidFacts, Severity,
)

NAME, VERSION = "my-policy", "0.1.0"
# Read once, while the component is built.
SCHEMA = Path(__file__).with_name("settings.schema.json").read_text()
DEFAULTS = {name: member["default"] for name, member in json.loads(SCHEMA)["properties"].items()}
FINDINGS_MAX = 200  # the host takes no more


class Meta(exports.Meta):
    def describe(self):
        summary = "Allows listed modules only and holds what resembles earlier work"
        return meta.Descriptor(NAME, VERSION, summary, SCHEMA, json.dumps(DEFAULTS))

    def check_settings(self, settings):
        try:
            read_settings(settings)
        except ValueError as problem:
            return [str(problem)]
        return []


class Review(exports.Review):
    def judge(self, settings, facts):
        try:
            settings = read_settings(settings)
        except ValueError as problem:
            raise Err(PolicyError_BadSettings(str(problem)))
        try:
            return judge(settings, facts)
        except ValueError as problem:
            raise Err(PolicyError_InvalidFacts(str(problem)))
        except Exception as bug:
            # It ends in a trap, which has no text; the log has.
            log.write(log.Level.WARN, f"{type(bug).__name__}: {bug}")
            raise


def read_settings(text):
    """What is left out has its default."""
    given = json.loads(text)
    settings = DEFAULTS | given if isinstance(given, dict) else {}
    names, ppm = ("allowed_modules", "refused_builtins"), settings.get("hold_similarity_ppm")
    if (
        settings.keys() != DEFAULTS.keys()
        or not all(is_names(settings[name]) for name in names)
        or type(ppm) is not int
        or not 0 <= ppm < 2**32
    ):
        raise ValueError("the settings do not have the form of the schema")
    for name in settings["allowed_modules"]:
        if "." in name:
            raise ValueError(f"`{name}` is not a top-level module")
    return settings


def is_names(value):
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def judge(settings, facts):
    if all(file.path != facts.entrypoint for file in facts.files):
        raise ValueError(f"the entry module `{facts.entrypoint}` is not among the files")
    findings = [found for seen in facts.observations if (found := refusal(settings, seen))]
    refused = len(findings)
    log.write(log.Level.INFO, f"{refused} of {len(facts.observations)} observations refused")
    alike = [other.similarity_ppm for other in facts.neighbours if not other.same_hotkey]
    most = max(alike, default=0)
    held = most > 0 and most >= settings["hold_similarity_ppm"]
    del findings[FINDINGS_MAX - 1 :]
    if held:
        message = f"it is {most} parts per million alike to another hotkey's earlier work"
        remedy = "a person looks at both"
        findings.append(Finding("COPY-SUSPECTED", Severity.HOLD, message, remedy, None, 0, 0))
    if refused:
        decision = Decision.REJECT
    else:
        decision = Decision.HOLD if held else Decision.ACCEPT
    return Verdict(decision, findings)


def refusal(settings, seen):
    """What is wrong with one thing that was seen, if anything is."""
    if seen.kind == Kind.UNREADABLE:
        rule_id, message = "FILE-UNREADABLE", "the file cannot be read as Python"
        remedy = "send UTF-8 text that Python can parse"
    elif seen.kind in (Kind.IMPORT_MODULE, Kind.IMPORT_NAME) and not seen.local:
        module = seen.name.split(".")[0]
        if module in settings["allowed_modules"]:
            return None
        rule_id, message = "IMPORT-NOT-LISTED", f"the module `{module}` is not on the list"
        remedy = "do without it, or ask for it to be put on the list"
    elif (
        seen.kind in (Kind.REFERENCE, Kind.CALL)
        and not seen.local
        and seen.name in settings["refused_builtins"]
    ):
        rule_id, message = "BUILTIN-REFUSED", f"`{seen.name}` is refused"
        remedy = "do without it"
    else:
        return None
    return Finding(rule_id, Severity.ERROR, message, remedy, seen.path, seen.line, seen.column)
