"""Reference runs of an earlier evaluation, taken over in place of new ones.

The host hands in a part of an earlier telemetry: `env`, `data`, `plan`, and the reference's `runs` and
`sizes`. They stand in for new runs only if they are what a new run here would be: the same machine
parts, text, plan and probes. Otherwise the reference runs again.
"""

from __future__ import annotations

from .training_run import RunPlan

_ENV = ("torch", "blas", "device_kind", "precision", "threads", "image_digest")
_DATA = ("corpus_id", "train_sha256", "val_sha256", "vocab_size")
_PLAN = ("name", "sha256")


def usable(reference: dict, present: dict, wanted: list[RunPlan]) -> list[dict] | None:
    """The rows of the `wanted` runs in their order, or None when one is missing or anything differs from
    `present`, this evaluation's own `env`, `data`, `plan` and `order_id` of each seed."""
    try:
        for part, names in (("env", _ENV), ("data", _DATA), ("plan", _PLAN)):
            if any(reference[part][name] != present[part][name] for name in names):
                return None
        rows = {_of_row(row): row for row in reference["runs"] if row["role"] == "reference" and "same_as" not in row}
        found = [rows.get(_of_plan(plan, present["orders"][plan.seed])) for plan in wanted]
        sizes = {size["size_id"] for size in reference["sizes"] if size["role"] == "reference"}
        whole = all(row and row["status"] == "ok" and row["steps_done"] == row["steps_planned"] for row in found)
    except (KeyError, TypeError, AttributeError):
        return None
    if not whole or not {plan.rung.size_id for plan in wanted} <= sizes:
        return None
    return [{**row, "run_id": plan.run_id, "seed_idx": plan.seed_idx, "cached": True} for row, plan in zip(found, wanted)]


def _of_row(row: dict) -> tuple:
    return tuple(row[name] for name in ("probe", "size_id", "d_model", "n_layer", "order_id", "steps_planned", "batch_seqs", "seq_len", "lr_mult"))


def _of_plan(plan: RunPlan, order_id: str) -> tuple:
    return (plan.probe, plan.rung.size_id, plan.rung.d_model, plan.rung.n_layer, order_id, plan.steps, plan.batch, plan.length, plan.lr_mult)
