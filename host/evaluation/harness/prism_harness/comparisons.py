"""What two runs of an evaluation say together: a base run and the same run under one change."""

from __future__ import annotations

import math

from . import scoring
from .training_run import RunResult


def permutation_check(results: list[RunResult], luck_bits: float, tolerance_bits: float) -> dict | None:
    """How much better the candidate predicts text as it is written than text under the secret vocabulary:
    nothing, unless it brought knowledge of the text with it. None when not measured.

    The steps of a pair of runs are no independent tries: which token meets which initial values is drawn once for
    all of them, and moves the mean by `luck_bits`. The standard error holds both."""
    plain = _find(results, "permutation")
    base = plain and _find(results, "base", plain.row["size_id"])
    if not plain or not base:
        return None
    gains = []
    for step in range(min(plain.row["steps_done"], base.row["steps_done"])):
        secret, written = (_nats(result.row, step) for result in (base, plain))
        if secret is not None and written is not None:
            gains.append((secret - written) / scoring.LN2)
    if not gains:
        return None
    mean, error = scoring.mean_and_error(gains)
    return {
        "n": len(gains),
        "max": max(gains),
        "viol_frac": sum(gain > tolerance_bits for gain in gains) / len(gains),
        "gain_bits_mean": mean,
        "gain_bits_se": math.hypot(error, luck_bits),
        "tol": tolerance_bits,
    }


def probe_effect(results: list[RunResult]) -> dict:
    """Whether a probe did anything: how far a threefold learning rate moved the weights, against the base run
    after as many steps."""
    hot = _find(results, "lr_x3")
    base = hot and _find(results, "base", hot.row["size_id"])
    if not hot or not base or len(hot.row["snapshots"]) < 2:
        return {}
    moved = hot.row["snapshots"][-1]
    for snapshot in base.row["snapshots"]:
        if snapshot["step"] == moved["step"] and snapshot.get("update_ratio"):
            return {"lr_x3_update_ratio": moved["update_ratio"] / snapshot["update_ratio"]}
    return {}


def _find(results: list[RunResult], probe: str, size_id: str | None = None) -> RunResult | None:
    """The candidate's run on the first seed."""
    for result in results:
        row = result.row
        if row["role"] == "candidate" and row["probe"] == probe and row["seed_idx"] == 0 and size_id in (None, row["size_id"]):
            return result
    return None


def _nats(row: dict, step: int) -> float | None:
    """Loss per token at a step; None when a token of it was not finite."""
    columns = row["cols"]
    return None if columns["nonfinite"][step] else columns["nll_sum"][step] / columns["n_tok"][step]
