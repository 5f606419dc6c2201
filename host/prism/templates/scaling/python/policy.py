"""A scaling policy: a score by the doublings of the reference's data that the gain in loss is worth.

What a gain in loss is worth is read from the reference's own curve: what it gained in the second half of
its run is what doubling its data is worth. A score is 0.5 for a model equal to the reference.
"""

import json
import math
from pathlib import Path

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import meta
from wit_world.exports.scaling import Outcome, PairedDifference, Report, Role, RunStatus
from wit_world.imports import log
from wit_world.imports.types import (
    Contribution, Estimate, Finding, Metric, PolicyError_BadSettings, PolicyError_InvalidFacts,
    Severity,
)

NAME, VERSION = "my-policy", "0.1.0"
# Read once, while the component is built.
SCHEMA = Path(__file__).with_name("settings.schema.json").read_text()
DEFAULTS = {name: member["default"] for name, member in json.loads(SCHEMA)["properties"].items()}
LN_2 = math.log(2)
ARCHITECTURE_SHARE = 0.7
NOTHING = Estimate(0.0, 0.0, 0)


class Meta(exports.Meta):
    def describe(self):
        summary = "Scores by the doublings of the reference's data that the gain in loss is worth"
        return meta.Descriptor(NAME, VERSION, summary, SCHEMA, json.dumps(DEFAULTS))

    def check_settings(self, settings):
        try:
            read_settings(settings)
        except ValueError as problem:
            return [str(problem)]
        return []


class Scaling(exports.Scaling):
    def analyse(self, settings, measurements):
        try:
            settings = read_settings(settings)
        except ValueError as problem:
            raise Err(PolicyError_BadSettings(str(problem)))
        try:
            return analyse(settings, measurements)
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
    tail_steps, halfway = settings.get("tail_steps"), settings.get("halfway_doublings")
    if (
        settings.keys() != DEFAULTS.keys()
        or type(tail_steps) is not int
        or not 0 <= tail_steps < 2**32
        or type(halfway) not in (int, float)
    ):
        raise ValueError("the settings do not have the form of the schema")
    if tail_steps == 0:
        raise ValueError("`tail_steps` is 0")
    if halfway <= 0:
        raise ValueError("`halfway_doublings` is not above 0")
    return settings


def analyse(settings, telemetry):
    runs = [run for run in telemetry.runs if run.role == Role.CANDIDATE]
    base = [run for run in runs if run.probe == "base"]
    broken = [run for run in base if run.status != RunStatus.OK]
    if broken:
        return rejected([broken_run(run) for run in broken])
    pairs, doublings = compare(settings, telemetry, [run for run in base if not run.own_recipe])
    if not pairs:
        raise ValueError("there is no base run of the candidate")
    own_pairs, own_doublings = compare(
        settings, telemetry, [run for run in base if run.own_recipe]
    )
    stability = sum(run.status == RunStatus.OK for run in runs) / len(runs)
    log.write(log.Level.INFO, f"{len(pairs) + len(own_pairs)} pairs compared")

    q_arch, q_recipe = score(settings, doublings), score(settings, own_doublings)
    architecture = ARCHITECTURE_SHARE * q_arch.value
    recipe = (1.0 - ARCHITECTURE_SHARE) * q_recipe.value
    instability = (architecture + recipe) * stability - (architecture + recipe)
    taken_off = "the share of runs that did not end well is taken off"
    return Report(
        outcome=Outcome.SCORED,
        q_arch=q_arch,
        q_recipe=q_recipe,
        stability=stability,
        gain=Estimate(doublings.value * LN_2, doublings.std_error * LN_2, doublings.samples),
        quality=architecture + recipe + instability,
        contributions=[
            Contribution("architecture", architecture, "0.7 of the architecture's score"),
            Contribution("recipe", recipe, "0.3 of the recipe's score"),
            Contribution("instability", instability, taken_off),
        ],
        metrics=[Metric("doublings", doublings.value)],
        architecture_pairs=pairs,
        recipe_pairs=own_pairs,
        findings=[],
    )


def compare(settings, telemetry, runs):
    """Candidate against reference, and what the mean gain is worth."""
    references = {
        (run.size_id, run.seed_index): run
        for run in reversed(telemetry.runs)
        if run.role == Role.REFERENCE and run.probe == "base"
    }
    pairs, worths = [], []
    for run in runs:
        reference = references.get((run.size_id, run.seed_index))
        if reference is None:
            raise ValueError(f"`{run.run_id}` has no run of the reference beside it")
        _, candidate_end = losses(settings, run)
        reference_half, reference_end = losses(settings, reference)
        doubling = reference_half - reference_end
        if doubling <= 0:
            raise ValueError(f"the reference learned nothing late in `{reference.run_id}`")
        gain_bpb = reference_end - candidate_end
        pairs.append(PairedDifference(run.size_id, run.seed_index, gain_bpb))
        worths.append(gain_bpb / doubling)
    return pairs, mean(worths)


def losses(settings, run):
    """Loss half way and at the end, bits per byte."""
    steps, tail = len(run.nll_sum_nats), settings["tail_steps"]
    if steps != len(run.byte_count) or steps < 2 * tail:
        raise ValueError(f"`{run.run_id}` has too few steps, or columns of unequal length")

    def until(end):
        nats = total(run.nll_sum_nats[end - tail : end])
        byte_count = sum(run.byte_count[end - tail : end])
        return nats / byte_count / LN_2 if byte_count else math.nan

    half, end = until(steps // 2), until(steps)
    if not (math.isfinite(half) and math.isfinite(end)):
        raise ValueError(f"`{run.run_id}` has losses that are no numbers")
    return half, end


def total(values):
    """From left to right, as other languages add; Python's own `sum` compensates for rounding."""
    added = 0.0
    for value in values:
        added += value
    return added


def mean(values):
    count = len(values)
    if not count:
        return NOTHING
    centre = total(values) / count
    squares = total((value - centre) * (value - centre) for value in values)
    std_error = math.sqrt(squares / (count - 1) / count) if count > 1 else 0.0
    return Estimate(centre, std_error, count)


def score(settings, doublings):
    """From doublings, minus to plus infinity, to a score, 0 to 1; the error by the slope."""
    halfway = settings["halfway_doublings"]
    reach = abs(doublings.value) + halfway
    std_error = 0.5 * halfway / (reach * reach) * doublings.std_error
    return Estimate(0.5 + 0.5 * doublings.value / reach, std_error, doublings.samples)


def broken_run(run):
    how = run.status.name.lower()
    steps = f"{run.steps_done} of {run.steps_planned} steps"
    message = f"the run `{run.run_id}` ended as `{how}` after {steps}"
    remedy = "make it train to the end at every size"
    return Finding("RUN-INCOMPLETE", Severity.ERROR, message, remedy, None, 0, 0)


def rejected(findings):
    return Report(
        outcome=Outcome.REJECTED,
        q_arch=NOTHING,
        q_recipe=NOTHING,
        stability=0.0,
        gain=NOTHING,
        quality=0.0,
        contributions=[],
        metrics=[],
        architecture_pairs=[],
        recipe_pairs=[],
        findings=findings,
    )
