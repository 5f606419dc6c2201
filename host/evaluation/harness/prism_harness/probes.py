"""What a plan asks for besides the base and recipe runs: one change of one thing at a time.

Reads the plan's `probes`, `recall` and `permutation`, and checks them once. Knows nothing of guests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_STRESS = ("depth_x4", "seq_x4", "batch_x4", "lr_x3", "lr_x10")
_FACTOR_MAX = 64
STEPS_FLOOR = 8  # fewer steps than this say nothing, whatever the budget


@dataclass(frozen=True)
class Probe:
    """A rung under one change. Factors of 1 change nothing."""

    name: str
    size_id: str
    steps: int
    depth: int = 1
    length: int = 1
    batch: int = 1
    batch_seqs: int | None = None  # rows in a step, in place of the plan's times `batch`
    lr_mult: float = 1.0


@dataclass(frozen=True)
class Recall:
    """Rows of key-value pairs and questions about them; `recall.py` makes them."""

    size_id: str
    pairs: int
    queries: int
    length: int
    batch_seqs: int
    steps: int


@dataclass(frozen=True)
class Permutation:
    """The first steps of a base run once more, without the vocabulary permutation."""

    size_id: str
    steps: int
    luck_bits: float  # standard deviation of an honest model's gain, from its initial values alone


def read_probes(plan: dict) -> list[Probe]:
    """The stress probes in the plan's order."""
    probes = [_probe(entry, _sizes(plan)) for entry in plan.get("probes") or []]
    if len({probe.name for probe in probes}) != len(probes):
        raise ValueError("the plan names a probe twice")
    return probes


def read_recall(plan: dict) -> Recall | None:
    entry = plan.get("recall")
    if entry is None:
        return None
    numbers = {name: count(entry[name]) for name in ("pairs", "queries", "length", "batch_seqs", "steps")}
    recall = Recall(size_id=_known(entry["size_id"], _sizes(plan)), **numbers)
    if recall.length < 2 * recall.pairs + recall.queries:
        raise ValueError("recall.length is too short for its pairs and queries")
    if recall.pairs < 2 or plan["vocab_size"] < 4 * recall.pairs:
        raise ValueError("recall.pairs does not fit the vocabulary")
    return recall


def read_permutation(plan: dict) -> Permutation | None:
    entry = plan.get("permutation")
    if entry is None:
        return None
    return Permutation(_known(entry["size_id"], _sizes(plan)), count(entry["steps"]), float(entry["luck_bits"]))


def batch_seqs(plan: dict, probe: Probe) -> int:
    return probe.batch_seqs or plan["batch_seqs"] * probe.batch


def scaled(steps: int, scale: float) -> int:
    """A probe's steps when the runs are shortened: the same factor, down to a floor."""
    return max(min(STEPS_FLOOR, steps), round(steps * scale)) if scale < 1.0 else steps


def count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"`{value}` is not a positive whole number")
    return value


def _probe(entry: dict, sizes: set[str]) -> Probe:
    if entry["probe"] not in _STRESS:
        raise ValueError(f"there is no probe `{entry['probe']}`")
    factors = {name: count(entry.get(name, 1)) for name in ("depth", "length", "batch")}
    lr_mult = float(entry.get("lr_mult", 1.0))
    if max(factors.values()) > _FACTOR_MAX or not 0.0 < lr_mult <= _FACTOR_MAX:
        raise ValueError(f"a factor of probe `{entry['probe']}` is out of range")
    rows = entry.get("batch_seqs")
    return Probe(name=entry["probe"], size_id=_known(entry["size_id"], sizes), steps=count(entry["steps"]),
                 batch_seqs=None if rows is None else count(rows), lr_mult=lr_mult, **factors)


def _sizes(plan: dict) -> set[str]:
    return {str(size["size_id"]) for size in plan["sizes"]}


def _known(size_id: Any, sizes: set[str]) -> str:
    if size_id not in sizes:
        raise ValueError(f"a probe names the size `{size_id}`, which the plan has not")
    return str(size_id)
