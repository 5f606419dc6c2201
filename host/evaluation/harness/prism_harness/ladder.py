"""Which runs an evaluation consists of, how much work each is, and how long each may be."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from typing import Callable

from . import faults, probes, streams
from .faults import Fault
from .job import Job, Rung
from .probes import Probe
from .training_run import RunPlan

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
    """The candidate's. The reference has one lane: its own recipe is the evaluator's."""
    chosen = [Lane("candidate", False)]
    return [*chosen, Lane("candidate", True)] if job.has_own_recipe else chosen


REFERENCE = Lane("reference", False)


def reference_part() -> dict:
    """The reference is a project like any other."""
    folder = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "reference")
    return {"dir": folder, "entrypoint": "model.py"}


def runs_of(job: Job, lane: Lane, batch: int, scale: float) -> list[RunPlan]:
    """All runs of a lane in order. Probes are asked of a model under the evaluator's recipe only: what
    they tell of an architecture may not depend on who tuned it."""
    label = "recipe" if lane.own_recipe else "base"
    found = []
    for rung in job.rungs:
        steps = scaled_steps(job.plan, rung, scale, batch)
        for seed_idx in range(rung.seeds):
            found.append(_run(job, lane, Probe(label, rung.size_id, steps, batch_seqs=batch), seed_idx,
                              f"{lane.label}-{rung.size_id}-{seed_idx}", **_watched(job, label, seed_idx, steps, scale)))
    return found if lane.own_recipe else found + probe_runs(job, lane, scale)


def calibration_run(job: Job, lane: Lane, rung: Rung, batch: int) -> RunPlan:
    """A few steps to time; what they show is thrown away."""
    probe = Probe("calibrate", rung.size_id, job.plan["calibration_steps"], batch_seqs=batch)
    return _run(job, lane, probe, 0, f"calibrate-{lane.label}-{rung.size_id}")


def probe_runs(job: Job, lane: Lane, scale: float) -> list[RunPlan]:
    """One run a probe, on the first seed. A stress probe keeps the base run's schedule, so that the two
    can be compared step by step. The permutation probe asks for what a submission knew beforehand, so
    the reference has none."""
    found = []
    for probe in job.probes:
        steps = probes.scaled(probe.steps, scale)
        shares = _shares(job, steps) if probe.depth > 1 else frozenset()
        found.append(_probe_run(job, lane, probe, steps, _base_steps(job, probe, scale),
                                inspect_at=shares, by_position=probe.length > 1))
    if job.recall is not None:
        recall, steps = job.recall, probes.scaled(job.recall.steps, scale)
        probe = Probe("recall", recall.size_id, recall.steps, batch_seqs=recall.batch_seqs)
        found.append(_probe_run(job, lane, probe, steps, steps, length=recall.length, recall=recall))
    if job.permutation is not None and lane.role == "candidate":
        probe = Probe("permutation", job.permutation.size_id, job.permutation.steps)
        base_steps = _base_steps(job, probe, scale)
        steps = min(base_steps, probes.scaled(probe.steps, scale))
        found.append(_probe_run(job, lane, probe, steps, base_steps, permuted=False))
    return found


def work(plan: dict, run: RunPlan) -> float:
    """A step's cost against a step of the run's rung as the plan has it, by rule of thumb: in
    proportion to depth and tokens, and to the root of the length, between a layer that looks at one token
    and one that looks at all."""
    tokens = run.batch * run.length / (plan["batch_seqs"] * plan["seq_len"])
    return run.depth * tokens * math.sqrt(run.length / plan["seq_len"])


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


def choose_scale(plan: dict, cost_ms: Callable[[float], float]) -> float:
    """The largest share of the planned steps whose cost fits the candidate's budget."""
    budget_ms = plan["budget_ms"]
    for scale in _SCALES:
        if cost_ms(scale) <= budget_ms:
            return scale
    raise Fault(
        faults.TIMEOUT,
        f"training would take {cost_ms(1.0) / 1000:.0f} s of CPU time, {cost_ms(_SCALES[-1]) / 1000:.0f} s at its shortest; "
        f"this tier has {budget_ms / 1000:.0f} s and shortens a run to {_SCALES[-1]:.0%} at most",
    )


def _watched(job: Job, label: str, seed_idx: int, steps: int, scale: float) -> dict:
    """What is noted on the way of a base run: layer rows on the first seed, and weights after as many steps
    as the learning-rate probes take, to be compared with theirs."""
    if label != "base":
        return {}
    counts = frozenset(probes.scaled(probe.steps, scale) for probe in job.probes if probe.lr_mult != 1.0)
    return {"snapshot_after": frozenset(n for n in counts if n < steps),
            "inspect_at": _shares(job, steps) if seed_idx == 0 else frozenset()}


def _shares(job: Job, steps: int) -> frozenset[int]:
    shares = job.plan["inspect"]["at"] if job.plan.get("inspect") else ()
    return frozenset(round(share * (steps - 1)) for share in shares)


def _base_steps(job: Job, probe: Probe, scale: float) -> int:
    return scaled_steps(job.plan, _rung(job, probe.size_id), scale, job.plan["batch_seqs"])


def _probe_run(job: Job, lane: Lane, probe: Probe, steps: int, step_budget: int, **changes) -> RunPlan:
    run_id = f"{lane.role}-{probe.name}-{probe.size_id}-0"
    return _run(job, lane, replace(probe, steps=steps), 0, run_id, step_budget=step_budget,
                may_fail=lane.role == "candidate", **changes)


def _run(job: Job, lane: Lane, probe: Probe, seed_idx: int, run_id: str, *, length: int | None = None,
         step_budget: int | None = None, **changes) -> RunPlan:
    plan, rung, seed = job.plan, _rung(job, probe.size_id), job.seeds[seed_idx]
    batch, length = probes.batch_seqs(plan, probe), length or plan["seq_len"] * probe.length
    rung = replace(rung, n_layer=rung.n_layer * probe.depth)
    budget = step_budget or probe.steps
    return RunPlan(
        run_id=run_id, role=lane.role, probe=probe.name, rung=rung, seed_idx=seed_idx, seed=seed, own_recipe=lane.own_recipe,
        steps=probe.steps, batch=batch, length=length, vocab_size=plan["vocab_size"], depth=probe.depth, lr_mult=probe.lr_mult,
        inspect_rows=plan["inspect"]["rows"] if plan.get("inspect") else 0,
        spec=_spec(job, lane, rung, seed, budget, batch, length, probe.lr_mult), **changes,
    )


def _rung(job: Job, size_id: str) -> Rung:
    return next(rung for rung in job.rungs if rung.size_id == size_id)


def _spec(job: Job, lane: Lane, rung: Rung, seed: int, steps: int, batch: int, length: int, lr_mult: float) -> dict:
    """What a guest is told: sizes and a seed, and nothing by which a probe could be recognised. The
    learning-rate probes change the evaluator's recipe, which a project does not see, not its context."""
    plan, recipe = job.plan, job.plan["evaluator_recipe"]
    candidate = lane.role == "candidate"
    return {
        "architecture": job.architecture if candidate else reference_part(),
        "training": job.training if candidate else None,
        "own_recipe": lane.own_recipe,
        "evaluator_recipe": {**recipe, "learning_rate": recipe["learning_rate"] * lr_mult},
        "context": {
            "vocab_size": plan["vocab_size"],
            "sequence_length": length,
            "max_parameters": plan["max_parameters"],
            "seed": streams.model_seed(seed),
            "device": "cpu",
            "d_model": rung.d_model,
            "n_layer": rung.n_layer,
            "batch_size": batch,
            "step_budget": steps,
            "token_budget": steps * batch * length,
            "lr_mult": 1.0,
        },
    }
