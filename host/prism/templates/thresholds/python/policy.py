"""A thresholds policy: asks for a mean gain on shared seeds that is well above its error."""

import json
import math
from pathlib import Path

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import meta
from wit_world.exports.thresholds import Assessment, Outcome, Subject
from wit_world.imports import log
from wit_world.imports.types import PolicyError_BadSettings, PolicyError_InvalidFacts

NAME, VERSION = "my-policy", "0.1.0"
# Read once, while the component is built.
SCHEMA = Path(__file__).with_name("settings.schema.json").read_text()
DEFAULTS = {name: member["default"] for name, member in json.loads(SCHEMA)["properties"].items()}
TRANSFER_FACTOR = 2.0  # taking something from its owner asks for so many times the gain


class Meta(exports.Meta):
    def describe(self):
        summary = "Asks for a mean gain on shared seeds that is well above its error"
        return meta.Descriptor(NAME, VERSION, summary, SCHEMA, json.dumps(DEFAULTS))

    def check_settings(self, settings):
        try:
            read_settings(settings)
        except ValueError as problem:
            return [str(problem)]
        return []


class Thresholds(exports.Thresholds):
    def assess(self, settings, comparison):
        try:
            settings = read_settings(settings)
        except ValueError as problem:
            raise Err(PolicyError_BadSettings(str(problem)))
        try:
            return assess(settings, comparison)
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
    margins = [settings.get("least_gain_bpb"), settings.get("errors_above")]
    seeds_min = settings.get("seeds_min")
    if (
        settings.keys() != DEFAULTS.keys()
        or any(type(margin) not in (int, float) for margin in margins)
        or type(seeds_min) is not int
        or not 0 <= seeds_min < 2**32
    ):
        raise ValueError("the settings do not have the form of the schema")
    if any(margin < 0 for margin in margins):
        raise ValueError("a margin is below 0")
    if seeds_min < 2:
        raise ValueError("`seeds_min` is below 2: one seed knows no error")
    return settings


def assess(settings, comparison):
    if comparison.acceptances_before > comparison.tests_before:
        raise ValueError("more acceptances before than tests")
    gains = comparison.paired_gains_bpb
    transfer = comparison.subject in (Subject.ARCHITECTURE_TRANSFER, Subject.TRAINING_TRANSFER)
    least = settings["least_gain_bpb"] * (TRANSFER_FACTOR if transfer else 1.0)
    enough = len(gains) >= settings["seeds_min"]
    mean, error = mean_and_error(gains) if enough else (0.0, 0.0)
    critical_value = least + settings["errors_above"] * error
    delta = comparison.candidate.value - comparison.incumbent.value
    if not enough:
        outcome, why = Outcome.UNDECIDED, "more seeds could tell"
    elif mean <= critical_value:
        outcome, why = Outcome.NOT_MEANINGFUL, "the gain is within what noise or a trifle could be"
    elif delta <= 0:
        outcome, why = Outcome.NOT_MEANINGFUL, "the loss is better but the score is not"
    else:
        outcome, why = Outcome.MEANINGFUL, "the gain is real and large enough"
    log.write(log.Level.DEBUG, f"{len(gains)} shared seeds")
    explanation = f"over {len(gains)} shared seeds {why}"
    return Assessment(outcome, delta, 0.0, mean, critical_value, explanation)


def mean_and_error(values):
    """Mean of two or more, and its standard error."""
    count = len(values)
    mean = total(values) / count
    squares = total((value - mean) * (value - mean) for value in values)
    return mean, math.sqrt(squares / (count - 1) / count)


def total(values):
    """From left to right, as other languages add; Python's own `sum` compensates for rounding."""
    added = 0.0
    for value in values:
        added += value
    return added
