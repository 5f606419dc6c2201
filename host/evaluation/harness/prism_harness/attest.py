"""Graph attestation: does a graph of allowed operations, run on the raw weights without the model's
code, say what the worker committed? Then the model is that graph and nothing else, and what it costs
can be counted on it.

Three guests take part and none meets another: the worker commits logits and ends; a fresh auditor
that does not know the tokens exports the graph; a third, into which no project is ever loaded, runs
it. What a model cannot export is not measured.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from . import replay
from .faults import Fault
from .peer import Bench, Peer, Snapshot

if TYPE_CHECKING:
    from .corpus import Corpus
    from .training_run import RunPlan

_LOGITS_TOLERANCE = 1e-3  # largest difference of two logits; measured are 0 to 1e-5
_FORWARD_AND_BACKWARD = 3.0  # a backward pass is two products for each of the forward pass
_FAR_ROW = 1 << 20  # rows of the order's far end, which no run reaches


@dataclass(frozen=True)
class Committed:
    """What a worker said about rows that it had not seen before, and with which weights."""

    spec: dict
    folders: list[str]
    weights: Snapshot
    tokens: torch.Tensor
    logits: torch.Tensor


def commit(peer: Peer, corpus: "Corpus", plan: "RunPlan", rows: int) -> Committed:
    tokens = corpus.train_rows(plan.seed, _FAR_ROW, rows, plan.length)[:, :-1].contiguous()
    folders = [part["dir"] for part in (plan.spec["architecture"], plan.spec["training"]) if part]
    weights = peer.state()
    return Committed(plan.spec, folders, weights, tokens, peer.predict(tokens, plan.vocab_size))


def wanted(plan: dict, run: "RunPlan") -> bool:
    """One base run of each rung that the plan names (all where it names none), candidate and reference."""
    settings = plan.get("attest")
    if not settings or not run.full or run.own_recipe or run.seed_idx != 0:
        return False
    return run.rung.size_id in settings.get("size_ids", [run.rung.size_id])


def check(bench: Bench, owner: str, committed: Committed) -> tuple[dict, float | None]:
    """The check `replay`, and operations a trained token where they could be counted. A graph that cannot be
    had or run is `supported: false`, never a fault."""
    row = {"n": 0, "max": 0.0, "viol_frac": 0.0, "gain_bits_mean": 0.0, "gain_bits_se": 0.0, "tol": _LOGITS_TOLERANCE,
           "ops": 0, "graph_sha256": None, "supported": False}
    graph = _graph(bench, owner, committed) if importlib.util.find_spec("torch.export") else None
    if graph is None:
        return row, None
    try:
        row["graph_sha256"], row["ops"] = replay.summary(graph)
        replayed = _replayed(bench, owner, committed, graph)
    except (replay.GraphError, RecursionError):  # a graph may be nested as deep as JSON can be read
        return row, None
    if replayed is None:
        return row, None
    logits, operations = replayed
    differences = (logits - committed.logits).abs().nan_to_num(1e6, 1e6, 1e6).amax(-1).reshape(-1)
    both_broken = (~torch.isfinite(logits).all(-1) & ~torch.isfinite(committed.logits).all(-1)).reshape(-1)
    differences = torch.where(both_broken, torch.zeros_like(differences), differences)
    row.update(n=differences.numel(), max=float(differences.max()), supported=True,
               viol_frac=float((differences > _LOGITS_TOLERANCE).double().mean()))
    return row, _FORWARD_AND_BACKWARD * operations / committed.tokens.numel()


def _graph(bench: Bench, owner: str, committed: Committed) -> dict | None:
    peer = Peer(bench, "auditor", owner, committed.folders)
    try:
        peer.open(committed.spec)
        peer.load(committed.weights)
        return peer.export(*committed.tokens.shape)
    except Fault as fault:
        return _unless_ours(fault)
    finally:
        peer.end()


def _replayed(bench: Bench, owner: str, committed: Committed, graph: dict) -> tuple[torch.Tensor, int] | None:
    peer = Peer(bench, "auditor", owner, [])
    try:
        return peer.replay(graph, committed.weights, committed.tokens, committed.logits.shape[-1])
    except Fault as fault:
        return _unless_ours(fault)
    finally:
        peer.end()


def _unless_ours(fault: Fault) -> None:
    """What a graph did to its guest says only that it cannot be used; a broken machine still ends all."""
    if fault.blame != "miner":
        raise fault
