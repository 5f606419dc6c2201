"""One training run: predict, commit, reveal, step.

Before every batch the guest hands over its weights, so it cannot tell which steps are audited; it
commits logits for the whole batch; only then are the targets revealed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Callable

import torch

from . import faults, layers, scoring, snapshot, streams
from .corpus import Corpus
from .faults import Fault
from .job import Rung
from .peer import Peer, Snapshot
from .probes import Recall
from .recall import RecallRows
from .streams import Streams

_NONFINITE_STEPS_MAX = 10
_SCORED = ("nll_sum", "n_tok", "n_bytes", "z_mean", "logit_absmax", "logit_rms", "entropy", "nonfinite")
_TRUST = {
    **{name: "T" for name in _SCORED}, "wall_ms": "T", "worker_cpu_ms": "T", "gpu_ms": "T",
    "grad_norm": "U", "clip_hit": "U", "lr": "U", "loss_reported": "U",
}
_STATUS = {faults.CONTRACT: "contract", faults.OVERSIZED: "contract", faults.TRUNCATED: "contract",
           faults.INVALID: "contract", faults.OOM: "oom", faults.TIMEOUT: "timeout"}  # any other: crash


@dataclass(frozen=True)
class RunPlan:
    """What to run. `batch` rows of `length` tokens for `steps` steps."""

    run_id: str
    role: str
    probe: str
    rung: Rung  # as asked for: depth included
    seed_idx: int
    seed: int
    own_recipe: bool
    steps: int
    batch: int
    length: int
    vocab_size: int
    spec: dict
    depth: int = 1
    lr_mult: float = 1.0
    permuted: bool = True
    by_position: bool = False  # note the loss of early and late positions
    recall: Recall | None = None  # rows of pairs and questions in place of text
    may_fail: bool = False  # a fault of the project's ends the run, not the evaluation
    cpu_limit_ms: float | None = None
    audited: dict = field(default_factory=dict)  # step -> list of (cut, rows)
    snapshot_after: frozenset[int] = frozenset()  # numbers of steps done
    inspect_at: frozenset[int] = frozenset()
    inspect_rows: int = 0

    @property
    def full(self) -> bool:
        """A full training on its rung, which held-out rows, audits and checks follow."""
        return self.probe in ("base", "recipe")


@dataclass
class Commitment:
    """Logits that a worker committed at one cut, to be compared with the replica's."""

    weights: Snapshot
    prefix: torch.Tensor  # (rows, cut)
    targets: torch.Tensor  # (rows,)
    log_p: torch.Tensor  # (rows, V)
    held_out: bool


@dataclass
class RunResult:
    """The telemetry row of a run and what later checks need of it."""

    plan: RunPlan
    row: dict
    commitments: list[Commitment] = field(default_factory=list)
    hooks: dict = field(default_factory=dict)
    recipe: dict | None = None
    first: Snapshot | None = None
    last: Snapshot | None = None
    first_nll: float | None = None  # nats per token; None when no token of the first step was finite
    cpu_ms_per_step: float = 0.0
    operations_per_token: float | None = None  # counted on an attested graph
    parameters: int = 0
    state_bytes: int = 0

    def release(self) -> None:
        """Lets go of weights: what is kept of a run does not grow with the model."""
        self.first = self.last = None
        self.commitments = []


def train(corpus: Corpus, choices: Streams, plan: RunPlan, progress: Callable[[int, float | None], None],
          peer: Peer, left_s: Callable[[], float]) -> RunResult:
    """Runs `plan` on a fresh guest; the guest lives on for the checks that follow, unless the run failed."""
    run = _Run(corpus, choices, plan, peer)
    try:
        run.open()
        for step in range(plan.steps):
            progress(step + 1, run.step(step))
            if run.bad_steps >= _NONFINITE_STEPS_MAX:
                break
        run.result.last = peer.state()
    except Fault as fault:
        if not plan.may_fail or fault.blame != "miner" or left_s() <= 0:
            raise
        run.result.row.update(status=_STATUS.get(fault.code, "crash"), error=fault.message)
    return run.finished()


class _Run:
    """A run under way."""

    def __init__(self, corpus: Corpus, choices: Streams, plan: RunPlan, peer: Peer):
        self._corpus, self._plan, self._peer = corpus, plan, peer
        self._recall = RecallRows(choices, plan.recall, plan.vocab_size) if plan.recall else None
        self._trust = {**_TRUST, **({"nll_early": "T", "nll_late": "T"} if plan.by_position else {}),
                       **({"n_right": "T", "n_query": "T"} if plan.recall else {})}
        self._columns: dict[str, list] = {name: [] for name in ("step", *self._trust)}
        self._cpu_ms = 0.0
        self._middle: list[dict] = []
        self.bad_steps = 0
        self.result = RunResult(plan, _row(plan))

    def open(self) -> None:
        opened = self._peer.open(self._plan.spec)
        self.result.hooks, self.result.recipe = opened.get("hooks", {}), opened.get("recipe")

    def step(self, step: int) -> float | None:
        """One step; its loss in nats per token."""
        plan, peer, result = self._plan, self._peer, self.result
        started, cpu_started = time.monotonic(), peer.cpu_s()
        rows, targets = self._batch(step)
        weights = peer.state()
        result.first = result.first or weights
        if step in plan.snapshot_after:
            self._middle.append(snapshot.compared(result.first, weights, step - 1))
        logits = peer.predict(rows[:, :-1], plan.vocab_size, then_step=True)
        values = self._scored(rows, targets, logits)
        result.commitments += commitments(plan.audited.get(step, ()), weights, rows, logits, held_out=False)
        reported = peer.step(rows) if targets is None else peer.step(rows, targets)
        cpu_ms = (peer.cpu_s() - cpu_started) * 1000.0
        values.update(
            step=step, wall_ms=(time.monotonic() - started) * 1000.0, worker_cpu_ms=cpu_ms,
            gpu_ms=None, grad_norm=reported["grad_norm"], lr=reported["lr"], loss_reported=reported["loss"],
            clip_hit=None if reported["grad_norm"] is None else int(reported["grad_norm"] > 1.0),
        )
        for name, column in self._columns.items():
            column.append(values[name])
        if step in plan.inspect_at:  # on rows whose targets the worker has by now
            result.row["layers"] += [{"step": step, **row} for row in peer.inspect(rows[: plan.inspect_rows])["layers"]]
        self._cpu_ms += cpu_ms
        if plan.cpu_limit_ms is not None and self._cpu_ms > plan.cpu_limit_ms:
            raise Fault(faults.TIMEOUT, f"{step + 1} of {plan.steps} steps took {self._cpu_ms / 1000:.1f} s of CPU time")
        return self._loss(step, values)

    def finished(self) -> RunResult:
        result, columns = self.result, self._columns
        done, row = len(columns["step"]), self.result.row
        row["steps_done"], row["trust"] = done, self._trust
        row["cols"] = {name: None if any(v is None for v in column) else [_short(v) for v in column] for name, column in columns.items()}
        if result.first and result.last:
            start, end = snapshot.summaries(result.first, result.last, done - 1)
            row["snapshots"] = [start, *self._middle, end]
            result.parameters = snapshot.count_parameters(result.first, result.last)
            result.state_bytes = len(result.last.raw)
            if self._plan.inspect_at:
                row["layers"] += [{"step": done - 1, **weights} for weights in layers.from_snapshots(result.first, result.last)]
        result.cpu_ms_per_step = sorted(columns["worker_cpu_ms"])[done // 2] if done else 0.0
        return result

    def _batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Rows (B, T + 1) of the step, and targets (B, T) where they are not simply the next tokens."""
        plan, first = self._plan, step * self._plan.batch
        if plan.recall is not None:
            return self._recall.batch(plan.seed, first)
        return self._corpus.train_rows(plan.seed, first, plan.batch, plan.length, plan.permuted), None

    def _scored(self, rows: torch.Tensor, targets: torch.Tensor | None, logits: torch.Tensor) -> dict:
        if targets is not None:
            values = scoring.recall_statistics(logits, targets)
            return {**values, "n_bytes": values["n_tok"]}  # no text: each answer counts as one
        values = scoring.step_statistics(logits, rows[:, 1:])
        values["n_bytes"] = self._corpus.count_bytes(rows[:, 1:], self._plan.permuted)
        if self._plan.by_position:
            values.update(scoring.early_and_late(logits, rows[:, 1:]))
        return values

    def _loss(self, step: int, values: dict) -> float | None:
        finite = values["n_tok"] - values["nonfinite"]
        loss = values["nll_sum"] / finite if finite else None
        self.result.first_nll = loss if step == 0 else self.result.first_nll
        if values["nonfinite"]:
            self.result.row["status"] = "nonfinite"
        self.bad_steps = self.bad_steps + 1 if values["nonfinite"] else 0
        return loss


def held_out(peer: Peer, corpus: Corpus, plan: RunPlan, result: RunResult, settings: dict, cuts: dict) -> None:
    """Scores the held-out rows at the final weights and keeps commitments at `cuts` (cut -> rows)."""
    rows = corpus.val_rows(settings["rows"], plan.length)
    nll = []
    for start in range(0, settings["rows"], settings["chunk_rows"]):
        chunk = rows[start : start + settings["chunk_rows"]]
        logits = peer.predict(chunk[:, :-1], plan.vocab_size)
        nll.append(scoring.charged_nats(scoring.token_nll(logits, chunk[:, 1:]), plan.vocab_size).double())
        here = [(cut, [r - start for r in chosen if start <= r < start + len(chunk)]) for cut, chosen in cuts.items()]
        result.commitments += commitments([c for c in here if c[1]], result.last, chunk, logits, held_out=True)
    flat = torch.cat(nll)
    n_bytes = max(1, corpus.count_bytes(rows[:, 1:]))
    result.row["val"] = {"full_bpb": float(flat.sum()) / scoring.LN2 / n_bytes, "strict_bpb": None, "gap_se": None,
                         "n_full": flat.numel(), "n_bytes": n_bytes, "n_strict": 0}


def commitments(audits, weights: Snapshot, rows: torch.Tensor, logits: torch.Tensor, held_out: bool) -> list[Commitment]:
    return [
        Commitment(weights, rows[chosen, :cut].clone(), rows[chosen, cut].clone(),
                   scoring.log_probabilities(logits[chosen, cut - 1]), held_out)
        for cut, chosen in audits
    ]


def _row(plan: RunPlan) -> dict:
    return {
        "run_id": plan.run_id,
        "role": plan.role,
        "probe": plan.probe,
        "size_id": plan.rung.size_id,
        "d_model": plan.rung.d_model,
        "n_layer": plan.rung.n_layer,
        "seed_idx": plan.seed_idx,
        "order_id": streams.order_id(plan.seed),
        "own_recipe": plan.own_recipe,
        "recipe_owner": "submission" if plan.own_recipe else "evaluator",
        "steps_planned": plan.steps,
        "steps_done": 0,
        "batch_seqs": plan.batch,
        "seq_len": plan.length,
        "lr_mult": plan.lr_mult,
        "status": "ok",
        "error": None,
        "layers": [],
        "snapshots": [],
        "val": None,
        **({"chance": 1.0 / plan.recall.pairs} if plan.recall else {}),
    }


def _short(value):
    return float(f"{value:.9g}") if isinstance(value, float) else value
