"""One training run: predict, commit, reveal, step.

Before every batch the guest hands over its weights, so it cannot tell which steps are audited; it
commits logits for the whole batch; only then are the targets revealed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Callable

import torch

from . import scoring, snapshot, streams
from .corpus import Corpus
from .job import Rung
from .peer import Bench, Peer, Snapshot

_NONFINITE_STEPS_MAX = 10
_SCORED = ("nll_sum", "n_tok", "n_bytes", "z_mean", "logit_absmax", "logit_rms", "entropy", "nonfinite")
_TRUST = {
    **{name: "T" for name in _SCORED}, "wall_ms": "T", "worker_cpu_ms": "T", "gpu_ms": "T",
    "grad_norm": "U", "clip_hit": "U", "lr": "U", "loss_reported": "U",
}


@dataclass(frozen=True)
class RunPlan:
    """What to run. `batch` rows of `length` tokens for `steps` steps."""

    run_id: str
    role: str
    rung: Rung
    seed_idx: int
    seed: int
    own_recipe: bool
    steps: int
    batch: int
    length: int
    vocab_size: int
    spec: dict
    audited: dict = field(default_factory=dict)  # step -> list of (cut, rows)


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

    row: dict
    first: Snapshot
    last: Snapshot
    commitments: list[Commitment]
    hooks: dict
    recipe: dict | None
    first_nll: float | None  # nats per token; None when no token of the first step was finite
    cpu_ms_per_step: float
    parameters: int


def train(bench: Bench, corpus: Corpus, plan: RunPlan, progress: Callable[[int, float | None], None], peer: Peer) -> RunResult:
    """Runs `plan` on an open guest; the guest lives on for the checks that follow."""
    opened = peer.open(plan.spec)
    columns: dict[str, list] = {name: [] for name in ("step", *_TRUST)}
    commitments: list[Commitment] = []
    first = last = None
    first_nll, bad_steps, status = None, 0, "ok"
    for step in range(plan.steps):
        started, cpu_started = time.monotonic(), peer.cpu_s()
        rows = corpus.train_rows(plan.seed, step * plan.batch, plan.batch, plan.length)
        weights = peer.state()
        first = first or weights
        logits = peer.predict(rows[:, :-1], plan.vocab_size)
        values = scoring.step_statistics(logits, rows[:, 1:])
        commitments += _commitments(plan.audited.get(step, ()), weights, rows, logits, held_out=False)
        reported = peer.step(rows)
        values.update(
            step=step, n_bytes=corpus.count_bytes(rows[:, 1:]), wall_ms=(time.monotonic() - started) * 1000.0, worker_cpu_ms=(peer.cpu_s() - cpu_started) * 1000.0,
            gpu_ms=None, grad_norm=reported["grad_norm"], lr=reported["lr"], loss_reported=reported["loss"],
            clip_hit=None if reported["grad_norm"] is None else int(reported["grad_norm"] > 1.0),
        )
        for name, column in columns.items():
            column.append(values[name])
        finite = values["n_tok"] - values["nonfinite"]
        loss = values["nll_sum"] / finite if finite else None
        first_nll = loss if step == 0 else first_nll
        bad_steps = bad_steps + 1 if values["nonfinite"] else 0
        status = "nonfinite" if values["nonfinite"] else status
        progress(step + 1, loss)
        if bad_steps >= _NONFINITE_STEPS_MAX:
            break
    last = peer.state()
    done = len(columns["step"])
    row = _row(plan, columns, status, done)
    row["snapshots"] = snapshot.summaries(first, last, done - 1)
    cpu_ms = sorted(columns["worker_cpu_ms"])[done // 2]
    parameters = snapshot.count_parameters(first, last)
    return RunResult(row, first, last, commitments, opened.get("hooks", {}), opened.get("recipe"), first_nll, cpu_ms, parameters)


def held_out(peer: Peer, corpus: Corpus, plan: RunPlan, result: RunResult, settings: dict, cuts: dict) -> None:
    """Scores the held-out rows at the final weights and keeps commitments at `cuts` (cut -> rows)."""
    rows = corpus.val_rows(settings["rows"], plan.length)
    nll = []
    for start in range(0, settings["rows"], settings["chunk_rows"]):
        chunk = rows[start : start + settings["chunk_rows"]]
        logits = peer.predict(chunk[:, :-1], plan.vocab_size)
        nll.append(scoring.charged_nats(scoring.token_nll(logits, chunk[:, 1:]), plan.vocab_size).double())
        here = [(cut, [r - start for r in chosen if start <= r < start + len(chunk)]) for cut, chosen in cuts.items()]
        result.commitments += _commitments([c for c in here if c[1]], result.last, chunk, logits, held_out=True)
    flat = torch.cat(nll)
    n_bytes = max(1, corpus.count_bytes(rows[:, 1:]))
    result.row["val"] = {"full_bpb": float(flat.sum()) / scoring.LN2 / n_bytes, "strict_bpb": None, "gap_se": None,
                         "n_full": flat.numel(), "n_bytes": n_bytes, "n_strict": 0}


def _commitments(audits, weights: Snapshot, rows: torch.Tensor, logits: torch.Tensor, held_out: bool) -> list[Commitment]:
    return [
        Commitment(weights, rows[chosen, :cut].clone(), rows[chosen, cut].clone(),
                   scoring.log_probabilities(logits[chosen, cut - 1]), held_out)
        for cut, chosen in audits
    ]


def _row(plan: RunPlan, columns: dict, status: str, done: int) -> dict:
    cols = {name: None if any(v is None for v in column) else [_short(v) for v in column] for name, column in columns.items()}
    return {
        "run_id": plan.run_id,
        "role": plan.role,
        "probe": "base",
        "size_id": plan.rung.size_id,
        "seed_idx": plan.seed_idx,
        "order_id": streams.order_id(plan.seed),
        "own_recipe": plan.own_recipe,
        "recipe_owner": "submission" if plan.own_recipe else "evaluator",
        "steps_planned": plan.steps,
        "steps_done": done,
        "batch_seqs": plan.batch,
        "seq_len": plan.length,
        "lr_mult": 1.0,
        "status": status,
        "error": None,
        "cols": cols,
        "trust": _TRUST,
        "layers": [],
        "val": None,
    }


def _short(value):
    return float(f"{value:.9g}") if isinstance(value, float) else value
