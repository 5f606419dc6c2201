"""Which runs an evaluation consists of, and how long each may be."""

from __future__ import annotations

import os
from dataclasses import dataclass

from . import faults, streams
from .faults import Fault
from .job import Job, Rung

# The scale is one of these, so that a little noise in the timing does not change what is measured.
_SCALES = (1.0, 0.8, 0.6, 0.45, 0.35, 0.25, 0.18, 0.12, 0.08)


@dataclass(frozen=True)
class Lane:
    """Whose model under whose recipe."""

    role: str
    own_recipe: bool

    @property
    def label(self) -> str:
        return f"{self.role}-{'own' if self.own_recipe else 'base'}"


def lanes(job: Job) -> list[Lane]:
    """The reference's own recipe is the evaluator's, so it needs no lane of its own."""
    chosen = [Lane("candidate", False)]
    if job.has_own_recipe:
        chosen.append(Lane("candidate", True))
    return [*chosen, Lane("reference", False)]


def reference_part() -> dict:
    """The reference is a project like any other."""
    folder = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "reference")
    return {"dir": folder, "entrypoint": "model.py"}


def spec(job: Job, lane: Lane, rung: Rung, seed: int, steps: int, batch: int) -> dict:
    """What a guest is told: sizes and a seed, and nothing by which a probe could be recognised."""
    plan = job.plan
    candidate = lane.role == "candidate"
    return {
        "architecture": job.architecture if candidate else reference_part(),
        "training": job.training if candidate else None,
        "own_recipe": lane.own_recipe,
        "evaluator_recipe": plan["evaluator_recipe"],
        "context": {
            "vocab_size": plan["vocab_size"],
            "sequence_length": plan["seq_len"],
            "max_parameters": plan["max_parameters"],
            "seed": streams.model_seed(seed),
            "device": "cpu",
            "d_model": rung.d_model,
            "n_layer": rung.n_layer,
            "batch_size": batch,
            "step_budget": steps,
            "token_budget": steps * batch * plan["seq_len"],
            "lr_mult": 1.0,
        },
    }


def own_batch(plan: dict, recipe: dict | None) -> int:
    """Rows in a step under the submission's recipe: its batch size within the plan's bounds."""
    wanted = recipe.get("batch_size") if isinstance(recipe, dict) else None
    if not isinstance(wanted, int) or isinstance(wanted, bool):
        wanted = plan["batch_seqs"]
    return min(max(wanted, plan["own_recipe"]["batch_min"]), plan["own_recipe"]["batch_max"])


def scaled_steps(plan: dict, rung: Rung, scale: float, batch: int) -> int:
    """Steps of `batch` rows that see the same text as the rung's steps under the plan's batch."""
    steps = max(plan["steps_min"], round(rung.steps * scale)) if scale < 1.0 else rung.steps
    return max(1, steps * plan["batch_seqs"] // batch)


def choose_scale(plan: dict, estimate_ms: float) -> float:
    """The largest share of the planned steps that fits the budget."""
    budget_ms = plan["budget_ms"]
    for scale in _SCALES:
        if estimate_ms * scale <= budget_ms:
            return scale
    raise Fault(
        faults.TIMEOUT,
        f"training would take {estimate_ms / 1000:.0f} s of CPU time; this tier has {budget_ms / 1000:.0f} s "
        f"and shortens a run to {_SCALES[-1]:.0%} at most",
    )
