"""A rewards policy: pays the owners of families by the score above a floor."""

import json
from pathlib import Path

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import meta
from wit_world.exports.rewards import Source, Weight
from wit_world.imports import log
from wit_world.imports.types import PolicyError_BadSettings, PolicyError_InvalidFacts

NAME, VERSION = "my-policy", "0.1.0"
# Read once, while the component is built.
SCHEMA = Path(__file__).with_name("settings.schema.json").read_text()
DEFAULTS = {name: member["default"] for name, member in json.loads(SCHEMA)["properties"].items()}
WHOLE_PPM = 1_000_000


class Meta(exports.Meta):
    def describe(self):
        summary = "Pays the owners of families by the score above a floor"
        return meta.Descriptor(NAME, VERSION, summary, SCHEMA, json.dumps(DEFAULTS))

    def check_settings(self, settings):
        try:
            read_settings(settings)
        except ValueError as problem:
            return [str(problem)]
        return []


class Rewards(exports.Rewards):
    def weigh(self, settings, ledger):
        try:
            settings = read_settings(settings)
        except ValueError as problem:
            raise Err(PolicyError_BadSettings(str(problem)))
        try:
            return weigh(settings, ledger)
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
    ppm = settings.get("floor_ppm")
    if settings.keys() != DEFAULTS.keys() or type(ppm) is not int or not 0 <= ppm < 2**32:
        raise ValueError("the settings do not have the form of the schema")
    if ppm > 1_000_000:
        raise ValueError("`floor_ppm` is above 1000000")
    return settings


def weigh(settings, ledger):
    """Whole numbers only: this reaches consensus."""
    families = ledger.families
    for one, next_one in zip(families, families[1:]):
        if one.family_id >= next_one.family_id:
            raise ValueError("the families are not in the order of their identifiers")
    points = [max(0, family.q_arch_best_ppm - settings["floor_ppm"]) for family in families]
    weights = {}
    for family, above, ppm in zip(families, points, shares(points)):
        if ppm == 0:
            continue
        weight = weights.setdefault(family.hotkey, Weight(family.hotkey, 0, []))
        weight.ppm += ppm
        why = f"its architecture scores {above} parts per million above the floor"
        weight.sources.append(Source(family.family_id, ppm, why))
    log.write(log.Level.INFO, f"{len(weights)} owners are paid")
    return [weights[hotkey] for hotkey in sorted(weights)]


def shares(points):
    """The whole in proportion to the points. What rounding leaves over goes to the largest remainders, and
    among equal ones to the first."""
    total = sum(points)
    if total == 0:
        return [0] * len(points)
    shares = [own * WHOLE_PPM // total for own in points]
    order = sorted(range(len(points)), key=lambda place: -(points[place] * WHOLE_PPM % total))
    for place in order[: WHOLE_PPM - sum(shares)]:
        shares[place] += 1
    return shares
