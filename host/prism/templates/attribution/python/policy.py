"""An attribution policy: the first to send an architecture owns it; what is alike waits for a person."""

import json
from pathlib import Path

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import meta
from wit_world.exports.attribution import (
    ArchitectureAction_Existing, ArchitectureAction_New, ArchitectureAction_None_,
    ArchitectureAction_Transfer, Attribution as Answer, Decision, TrainingAction_Existing, TrainingAction_New,
    TrainingAction_None_,
)
from wit_world.imports import log
from wit_world.imports.thresholds import Outcome
from wit_world.imports.types import (
    Contribution, Finding, PolicyError_BadSettings, PolicyError_InvalidFacts, ProjectKind, Severity,
)

NAME, VERSION = "my-policy", "0.1.0"
# Read once, while the component is built.
SCHEMA = Path(__file__).with_name("settings.schema.json").read_text()
DEFAULTS = {name: member["default"] for name, member in json.loads(SCHEMA)["properties"].items()}


class Meta(exports.Meta):
    def describe(self):
        summary = "The first to send an architecture owns it; what is alike waits for a person"
        return meta.Descriptor(NAME, VERSION, summary, SCHEMA, json.dumps(DEFAULTS))

    def check_settings(self, settings):
        try:
            read_settings(settings)
        except ValueError as problem:
            return [str(problem)]
        return []


class Attribution(exports.Attribution):
    def attribute(self, settings, candidate):
        try:
            settings = read_settings(settings)
        except ValueError as problem:
            raise Err(PolicyError_BadSettings(str(problem)))
        try:
            return attribute(settings, candidate)
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
    ppm = settings.get("hold_similarity_ppm")
    if settings.keys() != DEFAULTS.keys() or type(ppm) is not int or not 0 <= ppm < 2**32:
        raise ValueError("the settings do not have the form of the schema")
    if ppm > 1_000_000:
        raise ValueError("`hold_similarity_ppm` is above 1000000")
    return settings


def attribute(settings, candidate):
    if not 0 <= candidate.quality <= 1:
        raise ValueError("the quality is not between 0 and 1")
    log.write(log.Level.DEBUG, f"{len(candidate.families)} known families")
    if candidate.kind == ProjectKind.TRAINING_FOR_ARCH:
        target = first(family for family in candidate.families if family.targeted)
        if target is None:
            why = "the family that it trains is not known"
            return unanswered(candidate, Decision.REJECT, Severity.ERROR, "TARGET-UNKNOWN", why)
        why = "it trains a family that is known"
        return applied(candidate, ArchitectureAction_None_(), training(candidate, target), why)
    family = first(family for family in candidate.families if family.same_architecture)
    if family is not None:
        if not family.same_owner and family.architecture.outcome == Outcome.MEANINGFUL:
            action = ArchitectureAction_Transfer(family.family_id)
            why = "it makes a known architecture meaningfully better"
        else:
            action = ArchitectureAction_Existing(family.family_id)
            why = "its architecture is known"
        return applied(candidate, action, training(candidate, family), why)
    if any(
        not family.same_owner and family.similarity_ppm >= settings["hold_similarity_ppm"]
        for family in candidate.families
    ):
        why = "it is much like a family of another owner"
        return unanswered(candidate, Decision.HOLD, Severity.HOLD, "FAMILY-ALIKE", why)
    why = "no known family has its architecture"
    return applied(candidate, ArchitectureAction_New(), training(candidate, None), why)


def training(candidate, family):
    """The training within a family, or in a new one; and whether it becomes the family's best."""
    if candidate.kind == ProjectKind.ARCHITECTURE_ONLY:
        return TrainingAction_None_(), False
    if family is None:
        return TrainingAction_New(), True
    variant = first(
        variant
        for variant in candidate.variants
        if variant.family_id == family.family_id and variant.same_training
    )
    if variant is not None:
        return TrainingAction_Existing(variant.variant_id), False
    best = family.training is None or family.training.outcome == Outcome.MEANINGFUL
    return TrainingAction_New(), best


def first(found):
    return next(found, None)


def applied(candidate, architecture, trained, reason):
    action, becomes_current_best = trained
    quality = candidate.quality
    return Answer(
        decision=Decision.APPLY,
        architecture=architecture,
        training=action,
        becomes_current_best=becomes_current_best,
        confidence=1.0,
        reason=reason,
        final_score=quality,
        contributions=[Contribution("quality", quality, "the quality from the scaling report")],
        findings=[],
    )


def unanswered(candidate, decision, severity, rule_id, reason):
    """Nothing is applied."""
    nothing = TrainingAction_None_(), False
    answer = applied(candidate, ArchitectureAction_None_(), nothing, reason)
    answer.decision = decision
    answer.findings.append(Finding(rule_id, severity, reason, "", None, 0, 0))
    return answer
