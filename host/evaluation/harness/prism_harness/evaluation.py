"""The evaluation: time a few steps, choose the length of the runs, train, audit, assemble telemetry.

Candidate and reference see the same rows in the same order. A run is over when its guest is gone;
only then does the replica see anything of it.
"""

from __future__ import annotations

import time
from dataclasses import replace

from . import audit, ladder, telemetry
from .checks import Behaviour
from .corpus import Corpus
from .faults import CONTRACT, REFERENCE, Fault
from .frames import FrameWriter
from .job import Job, Rung
from .ladder import Lane
from .peer import Bench, Peer
from .streams import Streams, order_id
from .training_run import RunPlan, RunResult, held_out, train

_PROGRESS_EVERY_S = 0.5


class Evaluation:
    """One job on one bench."""

    def __init__(self, job: Job, bench: Bench, corpus: Corpus, choices: Streams, frames: FrameWriter):
        self._job, self._bench, self._corpus, self._choices, self._frames = job, bench, corpus, choices, frames
        self._plan = job.plan
        self._behaviour = Behaviour(self._plan["tolerance"], self._plan["vocab_size"])
        self._replica = audit.ReplicaTally(self._plan["tolerance"]["causal_kl"])
        self._batches: dict[Lane, int] = {}
        self._step_ms: dict[tuple[Lane, str], float] = {}
        self._state_bytes: dict[str, int] = {}
        self._results: list[RunResult] = []
        self._cached_rows: list[dict] = []
        self._done_ms = self._total_ms = 0.0
        self._last_progress = 0.0

    def run(self) -> dict:
        """The telemetry, or a fault."""
        lanes = ladder.lanes(self._job)
        for lane in lanes:
            self._calibrate(lane)
        estimate_ms = sum(self._lane_ms(lane) for lane in lanes)
        scale = ladder.choose_scale(self._plan, estimate_ms)
        if self._use_cached_reference(scale):
            lanes = [lane for lane in lanes if lane.role != "reference"]
        self._total_ms = scale * sum(self._lane_ms(lane) for lane in lanes)
        for lane in lanes:
            for rung in self._job.rungs:
                for seed_idx, seed in enumerate(self._job.seeds[: rung.seeds]):
                    self._one_run(lane, rung, seed_idx, seed, scale)
        return telemetry.assemble(
            self._job, self._bench, self._corpus, self._choices, self._results, self._cached_rows,
            {**self._behaviour.as_checks(), "causal_replica": self._replica.as_check()},
            {"scale": scale, "estimate_ms": round(estimate_ms, 1), "budget_ms": self._plan["budget_ms"]},
        )

    def _calibrate(self, lane: Lane) -> None:
        """Times a few steps per rung on a guest that is thrown away; finds broken projects early."""
        for rung in self._job.rungs:
            batch = self._batches.get(lane, self._plan["batch_seqs"])
            run_id = f"calibrate-{lane.label}-{rung.size_id}"
            plan = self._run_plan(lane, rung, 0, self._job.seeds[0], self._plan["calibration_steps"], batch, run_id)
            result = self._train(plan, audited=False)
            if lane.own_recipe and lane not in self._batches:
                self._batches[lane] = ladder.own_batch(self._plan, result.recipe)
            self._check_size(lane, result)
            self._step_ms[lane, rung.size_id] = result.cpu_ms_per_step * self._batches.get(lane, batch) / batch
            self._state_bytes[rung.size_id] = max(self._state_bytes.get(rung.size_id, 0), len(result.last.raw))

    def _check_size(self, lane: Lane, result: RunResult) -> None:
        limit = self._plan["max_parameters"]
        if lane.role == "candidate" and result.parameters > limit:
            raise Fault(CONTRACT, f"the model has {result.parameters} parameters, ctx.max_parameters is {limit}")

    def _lane_ms(self, lane: Lane) -> float:
        batch = self._batches.get(lane, self._plan["batch_seqs"])
        return sum(
            self._step_ms[lane, rung.size_id] * ladder.scaled_steps(self._plan, rung, 1.0, batch) * rung.seeds
            for rung in self._job.rungs
        )

    def _use_cached_reference(self, scale: float) -> bool:
        """Splices in reference runs of an earlier evaluation, when they are of the very same rows and length."""
        wanted = {(rung.size_id, order_id(seed), ladder.scaled_steps(self._plan, rung, scale, self._plan["batch_seqs"]))
                  for rung in self._job.rungs for seed in self._job.seeds[: rung.seeds]}
        rows = {(row.get("size_id"), row.get("order_id"), row.get("steps_planned")): row
                for row in self._job.reference_runs if row.get("role") == "reference" and not row.get("own_recipe")}
        sizes = {size.get("size_id") for size in self._job.reference_sizes if size.get("role") == "reference"}
        if not wanted <= rows.keys() or not {rung.size_id for rung in self._job.rungs} <= sizes:
            return False
        self._cached_rows = [{**rows[key], "cached": True} for key in sorted(wanted)]
        return True

    def _one_run(self, lane: Lane, rung: Rung, seed_idx: int, seed: int, scale: float) -> None:
        batch = self._batches.get(lane, self._plan["batch_seqs"])
        steps = ladder.scaled_steps(self._plan, rung, scale, batch)
        plan = self._run_plan(lane, rung, seed_idx, seed, steps, batch, f"{lane.label}-{rung.size_id}-{seed_idx}")
        result = self._train(plan, audited=lane.role == "candidate")
        if lane.role == "reference" and result.row["status"] != "ok":
            raise Fault(REFERENCE, f"the reference ended `{result.row['status']}`, so nothing can be compared with it")
        self._results.append(result)
        self._done_ms += steps * self._step_ms[lane, rung.size_id]

    def _run_plan(self, lane: Lane, rung: Rung, seed_idx: int, seed: int, steps: int, batch: int, run_id: str) -> RunPlan:
        return RunPlan(
            run_id=run_id, role=lane.role, rung=rung, seed_idx=seed_idx, seed=seed, own_recipe=lane.own_recipe,
            steps=steps, batch=batch, length=self._plan["seq_len"], vocab_size=self._plan["vocab_size"],
            spec=ladder.spec(self._job, lane, rung, seed, steps, batch),
        )

    def _train(self, plan: RunPlan, audited: bool) -> RunResult:
        """A run on a fresh guest; a real run is followed by the held-out rows, checks and audits."""
        real = not plan.run_id.startswith("calibrate-")
        if audited:
            plan = replace(plan, audited=audit.choose_audits(
                self._choices, plan.run_id, self._plan, plan.steps, plan.batch, plan.length, self._state_bytes[plan.rung.size_id]))
        folders = [part["dir"] for part in (plan.spec["architecture"], plan.spec["training"]) if part]
        peer = Peer(self._bench, "worker", plan.role, folders)
        try:
            result = train(self._bench, self._corpus, plan, lambda step, loss: self._progress(plan, step, loss, real), peer)
            if real:
                cuts = audit.choose_strict(self._choices, plan.run_id, self._plan["val"], plan.length) if audited else {}
                held_out(peer, self._corpus, plan, result, self._plan["val"], cuts)
                if audited and plan.seed_idx == 0:
                    self._behaviour.run(peer, self._corpus, plan, self._plan["checks"], self._choices)
        finally:
            peer.end()
        if audited:
            self._behaviour.first_loss(result.first_nll)
            audit.replay(self._bench, plan, result, self._replica, folders)
        result.commitments = []
        return result

    def _progress(self, plan: RunPlan, step: int, loss_nats: float | None, real: bool) -> None:
        now = time.monotonic()
        if now - self._last_progress < _PROGRESS_EVERY_S and step != plan.steps:
            return
        self._last_progress = now
        here_ms = 0.0
        if real:
            lane = Lane(plan.role, plan.own_recipe)
            here_ms = self._done_ms + step * self._step_ms[lane, plan.rung.size_id]
        done = here_ms / self._total_ms if self._total_ms else 0.0
        probe = "calibrate" if not real else "recipe" if plan.own_recipe else "base"
        self._frames.progress(probe, plan.run_id, step, plan.steps, loss_nats, min(done, 0.99), int(self._total_ms - here_ms))
