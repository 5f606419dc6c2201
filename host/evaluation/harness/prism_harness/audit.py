"""The replica audit: causality, checked by a process that never saw the row.

When a worker is gone, a fresh process under another user loads the weights it handed over before
each audited batch and is given prefixes only. Where the replica's prediction differs from what the
worker committed, the worker used something that a causal model does not have: later tokens, other
rows, or memory outside its weights. Shorter prefixes come first, so that a longer prefix of the same
row never tells the target of a shorter one.
"""

from __future__ import annotations

from . import scoring
from .peer import Bench, Peer
from .streams import Streams
from .training_run import RunPlan, RunResult


class ReplicaTally:
    """What all audits of an evaluation found."""

    def __init__(self, tolerance: float):
        self.tolerance = tolerance
        self.kl_nats: list[float] = []
        self.gain_bits: list[float] = []

    def as_check(self) -> dict:
        mean, error = scoring.mean_and_error(self.gain_bits)
        over = sum(kl > self.tolerance for kl in self.kl_nats)
        return {
            "n": len(self.kl_nats),
            "max": max(self.kl_nats, default=0.0),
            "viol_frac": over / len(self.kl_nats) if self.kl_nats else 0.0,
            "gain_bits_mean": mean,
            "gain_bits_se": error,
            "tol": self.tolerance,
        }


def choose_audits(choices: Streams, label: str, plan: dict, steps: int, batch: int, length: int, state_bytes: int) -> dict:
    """Step -> [(cut, rows)]. Which steps, cuts and rows follows from the secret; how many, from the
    plan and from what the snapshots take in memory; they are spread over the whole run."""
    audit = plan["audit"]
    affordable = max(3, audit["bytes_max"] // max(1, state_bytes))
    wanted = min(steps, max(3, -(-steps // audit["every"])), affordable)
    stretch = steps / wanted
    chosen = {int(at * stretch) + choices.below(f"{label}|step|{at}", max(1, int(stretch))) for at in range(wanted)}
    audits = {}
    for step in chosen:
        rows = choices.sample(f"{label}|rows|{step}", batch, min(batch, audit["rows"]))
        groups = min(audit["cuts"], len(rows))
        cuts = choices.sample(f"{label}|cuts|{step}", length, groups)
        audits[step] = [(cut + 1, rows[at::groups]) for at, cut in enumerate(cuts)]
    return audits


def choose_strict(choices: Streams, label: str, settings: dict, length: int) -> dict:
    """Held-out positions: cut -> rows."""
    cuts = choices.sample(f"{label}|strict", length, settings["strict_cuts"])
    return {cut + 1: choices.sample(f"{label}|strict|{cut}", settings["rows"], settings["strict_rows"]) for cut in cuts}


def replay(bench: Bench, plan: RunPlan, result: RunResult, tally: ReplicaTally, folders: list[str]) -> None:
    """Replays the run's commitments on a replica and completes the held-out row with the strict loss."""
    peer = Peer(bench, "auditor", plan.role, folders)
    loaded, gaps = None, []
    training = [c for c in result.commitments if not c.held_out]
    strict = sorted((c for c in result.commitments if c.held_out), key=lambda c: c.prefix.shape[1])
    try:
        peer.open(plan.spec)
        for commitment in training + strict:
            if commitment.weights is not loaded:
                peer.load(commitment.weights)
                loaded = commitment.weights
            logits = peer.predict(commitment.prefix, plan.vocab_size)[:, -1]
            replica = scoring.log_probabilities(logits)
            kl = scoring.kl_nats(replica, commitment.log_p)
            index = commitment.targets.long().unsqueeze(-1)
            own = scoring.charged_nats(-replica.gather(-1, index), plan.vocab_size)
            worker = scoring.charged_nats(-commitment.log_p.gather(-1, index), plan.vocab_size)
            gain = ((own - worker) / scoring.LN2).reshape(-1).tolist()
            tally.kl_nats += kl.tolist()
            tally.gain_bits += gain
            if commitment.held_out:
                gaps += gain
    finally:
        peer.end()
    if gaps and result.row["val"] is not None:
        mean, error = scoring.mean_and_error(gaps)
        val = result.row["val"]
        tokens_per_byte = val["n_full"] / val["n_bytes"]  # the gaps are bits per token
        val.update(strict_bpb=val["full_bpb"] + mean * tokens_per_byte, gap_se=error * tokens_per_byte, n_strict=len(gaps))
