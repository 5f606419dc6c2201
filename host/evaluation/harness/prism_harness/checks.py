"""Checks of behaviour made on a live worker at its final weights. They catch honest mistakes early
and cheaply; what decides about causality is the replica audit, which a worker cannot play to."""

from __future__ import annotations

import math

import torch

from . import scoring
from .corpus import Corpus
from .peer import Bench, Peer
from .streams import Streams
from .training_run import RunPlan

_KV_KL = 1e-3  # nats; a correct cache differs by rounding alone, 1e-8 or so
_PRECISION_KL = 1e-2  # nats; a healthy model loses about 2e-5 to bfloat16


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


class Divergence(Tally):
    """How far one way of asking for logits lies from another, at every position of every row."""

    def __init__(self, tolerance: float):
        super().__init__(tolerance)
        self._by_position: dict[int, list[float]] = {}
        self.logit_absmax = 0.0

    def add(self, expected: torch.Tensor, logits: torch.Tensor) -> None:
        """KL(expected ‖ logits) for log-probabilities and logits of shape (B, T, V). Rounding is what is
        measured here, so none of it is taken off."""
        kl = scoring.kl_nats(expected, scoring.log_probabilities(logits), rounding=0.0)
        self.deviations += kl.reshape(-1).tolist()
        for at, mean in enumerate(kl.mean(0).tolist()):
            self._by_position.setdefault(at, []).append(mean)
        usable = logits[torch.isfinite(logits)]
        if usable.numel():
            self.logit_absmax = max(self.logit_absmax, float(usable.abs().max()))

    def as_check(self) -> dict:
        return {**super().as_check(), "kl_mean": scoring.mean_and_error(self.deviations)[0]}

    @property
    def positions(self) -> int:
        return len(self._by_position)

    def slope(self) -> float:
        """Least squares: what the KL gains with each position. An error that builds up shows here."""
        if self.positions < 2:
            return 0.0
        means = [math.fsum(values) / len(values) for _, values in sorted(self._by_position.items())]
        centre, mean = (self.positions - 1) / 2.0, math.fsum(means) / self.positions
        moment = math.fsum((at - centre) * (value - mean) for at, value in enumerate(means))
        return moment / math.fsum((at - centre) ** 2 for at in range(self.positions))


class Behaviour:
    """The checks of an evaluation."""

    def __init__(self, tolerance: dict, vocab_size: int):
        self._ln_v = math.log(vocab_size)
        self._first: list[float] = []
        self.step0 = Tally(tolerance["step0_nats"])
        self.suffix = Tally(tolerance["causal_kl"])
        self.batch = Tally(tolerance["batch_kl"])
        self.determinism = Tally(tolerance["determinism_kl"])
        self.kv = Divergence(tolerance.get("kv_kl", _KV_KL))
        self.precision = Divergence(tolerance.get("precision_kl", _PRECISION_KL))
        self._keeps_state = False
        self._replay: dict | None = None

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
        self._compare(peer, corpus, plan)

    def _compare(self, peer: Peer, corpus: Corpus, plan: RunPlan) -> None:
        """Other ways to the same logits, where the evaluation's plan has them: token by token through the
        project's hook, and in bfloat16. What a project does not offer is not measured."""
        incremental, precision = peer.plan.get("incremental"), peer.plan.get("precision")
        if incremental:
            length = min(incremental["positions"], plan.length)
            rows = corpus.val_rows(incremental["rows"], plan.length)[:, :length].contiguous()
            logits = peer.incremental(rows, plan.vocab_size)
            if logits is not None:
                self._keeps_state = peer.keeps_state
                self.kv.add(scoring.log_probabilities(peer.predict(rows, plan.vocab_size)), logits)
        if precision:
            rows = corpus.val_rows(precision["rows"], plan.length)[:, :-1].contiguous()
            logits = peer.predict(rows, plan.vocab_size, precision="bf16")
            if logits is not None:
                self.precision.add(scoring.log_probabilities(peer.predict(rows, plan.vocab_size)), logits)

    def replayed(self, check: dict) -> None:
        """A graph held against what was committed; of several rungs the worst counts."""
        if self._replay is None or (check["viol_frac"], check["supported"]) > (self._replay["viol_frac"], self._replay["supported"]):
            self._replay = check

    def as_checks(self) -> dict:
        step0 = self.step0.as_check()
        step0.update(nll_min=min(self._first, default=None), ln_v=self._ln_v)
        checks = {
            "step0": step0,
            "causal_suffix": self.suffix.as_check(),
            "batch_invariance": self.batch.as_check(),
            "determinism": self.determinism.as_check(),
        }
        if self.kv.deviations:
            checks["kv"] = {**self.kv.as_check(), "slope": self.kv.slope(), "positions": self.kv.positions, "incremental": self._keeps_state}
        if self.precision.deviations:
            checks["precision"] = {**self.precision.as_check(), "logit_absmax": self.precision.logit_absmax}
        if self._replay is not None:
            checks["replay"] = self._replay
        return checks

    @staticmethod
    def _random(choices: Streams, label: str, shape, vocab_size: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(choices.below(label, 1 << 62))
        return torch.randint(0, vocab_size, tuple(shape), generator=generator, dtype=torch.int32)
