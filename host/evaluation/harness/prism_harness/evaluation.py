"""The evaluation: time a few steps, choose the length of the runs, train, audit, assemble telemetry.

Candidate and reference see the same rows in the same order. A run is over when its guest is gone;
only then does the replica see anything of it.
"""

from __future__ import annotations

import time
from dataclasses import replace

from . import attest, audit, cached_reference, comparisons, ladder, layers, telemetry
from .checks import Behaviour
from .corpus import Corpus
from .faults import CONTRACT, REFERENCE, Fault
from .frames import FrameWriter
from .job import Job
from .ladder import REFERENCE as REFERENCE_LANE
from .ladder import Lane
from .peer import Bench, Peer
from .streams import Streams
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
        self._gns: dict | None = None
        self._done_ms = self._total_ms = 0.0
        self._last_progress = 0.0

    def run(self) -> dict:
        """The telemetry, or a fault."""
        lanes = ladder.lanes(self._job)
        for lane in lanes:
            self._calibrate(lane)
        estimate_ms = self._cost_ms(lanes, 1.0)
        scale = ladder.choose_scale(self._plan, lambda share: self._cost_ms(lanes, share))
        timing = {"scale": scale, "estimate_ms": round(estimate_ms, 1), "budget_ms": self._plan["budget_ms"]}
        runs = [run for lane in lanes for run in self._runs(lane, scale)]
        cached = self._cached_reference(scale)
        if cached is None:
            self._calibrate(REFERENCE_LANE)
            runs += self._runs(REFERENCE_LANE, scale)
        self._total_ms = sum(self._run_ms(run) for run in runs)
        for run in runs:
            self._one_run(run)
        return telemetry.assemble(self._job, self._bench, self._corpus, self._choices, self._results, cached, self._measured(timing))

    def _measured(self, timing: dict) -> dict:
        """What was measured beside the runs themselves; whatever was not is absent."""
        checks = {**self._behaviour.as_checks(), "causal_replica": self._replica.as_check()}
        if self._job.permutation is not None:
            tolerance = self._plan["tolerance"]["permutation_bits"]
            checks["permutation"] = comparisons.permutation_check(self._results, self._job.permutation.luck_bits, tolerance)
        found = {"timing": timing, "checks": {name: check for name, check in checks.items() if check is not None}}
        beside = {"probe_effect": comparisons.probe_effect(self._results), "gns": self._gns}
        return {**found, **{name: value for name, value in beside.items() if value}}

    def _calibrate(self, lane: Lane) -> None:
        """Times a few steps per rung on a guest that is thrown away; finds broken projects early."""
        for rung in self._job.rungs:
            batch = self._batch(lane)
            result = self._train(ladder.calibration_run(self._job, lane, rung, batch))
            if lane.own_recipe and lane not in self._batches:
                self._batches[lane] = ladder.own_batch(self._plan, result.recipe)
            limit = self._plan["max_parameters"]
            if lane.role == "candidate" and result.parameters > limit:
                raise Fault(CONTRACT, f"the model has {result.parameters} parameters, ctx.max_parameters is {limit}")
            # of a step of the plan's batch, whatever the lane's own
            self._step_ms[lane, rung.size_id] = result.cpu_ms_per_step * self._plan["batch_seqs"] / batch
            self._state_bytes[rung.size_id] = max(self._state_bytes.get(rung.size_id, 0), result.state_bytes)

    def _batch(self, lane: Lane) -> int:
        return self._batches.get(lane, self._plan["batch_seqs"])

    def _runs(self, lane: Lane, scale: float) -> list[RunPlan]:
        return ladder.runs_of(self._job, lane, self._batch(lane), scale)

    def _step_cost_ms(self, run: RunPlan) -> float:
        return self._step_ms[Lane(run.role, run.own_recipe), run.rung.size_id] * ladder.work(self._plan, run)

    def _run_ms(self, run: RunPlan) -> float:
        return run.steps * self._step_cost_ms(run)

    def _cost_ms(self, lanes: list[Lane], scale: float) -> float:
        return sum(self._run_ms(run) for lane in lanes for run in self._runs(lane, scale))

    def _cached_reference(self, scale: float) -> list[dict] | None:
        if self._job.reference is None:
            return None
        present = telemetry.circumstances(self._job, self._bench, self._corpus)
        return cached_reference.usable(self._job.reference, present, self._runs(REFERENCE_LANE, scale))

    def _one_run(self, run: RunPlan) -> None:
        if run.may_fail:
            limit = self._plan["probe_cpu"]  # so much over what the timed steps let expect, and so much in any case
            run = replace(run, cpu_limit_ms=max(limit["min_ms"], limit["factor"] * self._run_ms(run)))
        if run.full and run.role == "candidate":
            run = replace(run, audited=audit.choose_audits(
                self._choices, run.run_id, self._plan, run.steps, run.batch, run.length, self._state_bytes[run.rung.size_id]))
        result = self._train(run)
        if run.role == "reference" and result.row["status"] != "ok":
            raise Fault(REFERENCE, f"the reference ended `{result.row['status']}`, so nothing can be compared with it")
        self._results.append(result)
        self._done_ms += self._run_ms(run)

    def _train(self, run: RunPlan) -> RunResult:
        """A run on a fresh guest; a full one is followed by the held-out rows, checks and audits."""
        folders = [part["dir"] for part in (run.spec["architecture"], run.spec["training"]) if part]
        candidate, committed = run.role == "candidate", None
        peer = Peer(self._bench, "worker", run.role, folders)
        try:
            result = train(self._corpus, self._choices, run, lambda step, loss: self._progress(run, step, loss), peer, self._bench.left_s)
            if run.full:
                cuts = audit.choose_strict(self._choices, run.run_id, self._plan["val"], run.length) if candidate else {}
                held_out(peer, self._corpus, run, result, self._plan["val"], cuts)
                if candidate and run.seed_idx == 0:
                    self._behaviour.run(peer, self._corpus, run, self._plan["checks"], self._choices)
                    self._measure_noise(peer, run)
                if attest.wanted(self._plan, run):
                    committed = attest.commit(peer, self._corpus, run, self._plan["attest"]["rows"])
        finally:
            peer.end()
        if committed is not None:
            check, result.operations_per_token = attest.check(self._bench, run.role, committed)
            if candidate:
                self._behaviour.replayed(check)
        if run.full and candidate:
            self._behaviour.first_loss(result.first_nll)
            audit.replay(self._bench, run, result, self._replica, folders)
        result.release()
        return result

    def _measure_noise(self, peer: Peer, run: RunPlan) -> None:
        """The gradient-noise scale of the largest rung, at the end of its base run."""
        if self._plan.get("noise") and run.probe == "base" and run.rung.size_id == self._job.rungs[-1].size_id:
            self._gns = layers.noise_scale(peer, self._corpus, run, self._plan["noise"]["pairs"])

    def _progress(self, run: RunPlan, step: int, loss_nats: float | None) -> None:
        now = time.monotonic()
        if now - self._last_progress < _PROGRESS_EVERY_S and step != run.steps:
            return
        self._last_progress = now
        here_ms = self._done_ms + step * self._step_cost_ms(run) if self._total_ms else 0.0
        done = here_ms / self._total_ms if self._total_ms else 0.0
        self._frames.progress(run.probe, run.run_id, step, run.steps, loss_nats, min(done, 0.99), int(self._total_ms - here_ms))
