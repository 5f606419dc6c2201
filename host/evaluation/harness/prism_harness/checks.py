"""Checks of behaviour made on a live worker at its final weights. They catch honest mistakes early
and cheaply; what decides about causality is the replica audit, which a worker cannot play to."""

from __future__ import annotations

import math

import torch

from . import scoring
from .corpus import Corpus
from .peer import Peer
from .streams import Streams
from .training_run import RunPlan


class Tally:
    """One named check over all runs: deviations in nats against a tolerance."""

    def __init__(self, tolerance: float):
        self.tolerance = tolerance
        self.deviations: list[float] = []

    def as_check(self) -> dict:
        over = sum(value > self.tolerance for value in self.deviations)
        return {
            "n": len(self.deviations),
            "max": max(self.deviations, default=0.0),
            "viol_frac": over / len(self.deviations) if self.deviations else 0.0,
            "gain_bits_mean": 0.0,
            "gain_bits_se": 0.0,
            "tol": self.tolerance,
        }


class Behaviour:
    """The checks of an evaluation."""

    def __init__(self, tolerance: dict, vocab_size: int):
        self._ln_v = math.log(vocab_size)
        self._first: list[float] = []
        self.step0 = Tally(tolerance["step0_nats"])
        self.suffix = Tally(tolerance["causal_kl"])
        self.batch = Tally(tolerance["batch_kl"])
        self.determinism = Tally(tolerance["determinism_kl"])

    def first_loss(self, nll_nats: float | None) -> None:
        """An untrained model knows nothing: a first loss far below ln V has been smuggled in."""
        if nll_nats is None:
            return
        self._first.append(nll_nats)
        self.step0.deviations.append(max(0.0, self._ln_v - nll_nats))

    def run(self, peer: Peer, corpus: Corpus, plan: RunPlan, settings: dict, choices: Streams) -> None:
        label = f"checks|{plan.run_id}"
        rows = corpus.val_rows(settings["rows"], plan.length)[:, :-1].contiguous()
        whole = scoring.log_probabilities(peer.predict(rows, plan.vocab_size))
        again = scoring.log_probabilities(peer.predict(rows, plan.vocab_size))
        self.determinism.deviations += scoring.kl_nats(whole, again).amax(-1).tolist()
        for at in range(rows.shape[0]):
            alone = scoring.log_probabilities(peer.predict(rows[at : at + 1], plan.vocab_size))
            self.batch.deviations.append(float(scoring.kl_nats(whole[at : at + 1], alone).max()))
        for cut in sorted(choices.sample(f"{label}|suffix", plan.length - 1, settings["suffix_cuts"])):
            swapped = rows.clone()
            swapped[:, cut + 1 :] = self._random(choices, f"{label}|{cut}", swapped[:, cut + 1 :].shape, plan.vocab_size)
            changed = scoring.log_probabilities(peer.predict(swapped, plan.vocab_size))
            kl = scoring.kl_nats(whole[:, : cut + 1], changed[:, : cut + 1])
            self.suffix.deviations += kl.amax(-1).tolist()

    def as_checks(self) -> dict:
        step0 = self.step0.as_check()
        step0.update(nll_min=min(self._first, default=None), ln_v=self._ln_v)
        return {
            "step0": step0,
            "causal_suffix": self.suffix.as_check(),
            "batch_invariance": self.batch.as_check(),
            "determinism": self.determinism.as_check(),
        }

    @staticmethod
    def _random(choices: Streams, label: str, shape, vocab_size: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(choices.below(label, 1 << 62))
        return torch.randint(0, vocab_size, tuple(shape), generator=generator, dtype=torch.int32)
