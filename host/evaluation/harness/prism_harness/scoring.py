"""The scorer's arithmetic on committed logits. The distribution is normalised here, so a guest cannot
hand in probabilities that do not sum to one."""

from __future__ import annotations

import math

import torch

LN2 = math.log(2.0)
IGNORED = -100  # a position that asks nothing; cross-entropy skips it
KL_NATS_MAX = 100.0  # stands for "not comparable": one side finite, the other not
NLL_NATS_MAX = 1e5  # a diverged model's loss stays a number that every reader of the telemetry can hold
# Logits are float32: of a spread of S nats between the likeliest and the unlikeliest token, rounding alone
# may move each by a few times 6e-8 S. What such rounding explains is no dependence on later tokens; what
# it might let a cheat gain is charged through the measured gain all the same.
ROUNDING = 2e-6
_DESCRIBED_EVERY = 4


def log_probabilities(logits: torch.Tensor) -> torch.Tensor:
    return torch.log_softmax(logits.double(), dim=-1)


def token_nll(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Negative log-likelihood in nats of each target; not finite where the logits are not."""
    chosen = torch.log_softmax(logits, dim=-1).gather(-1, targets.long().unsqueeze(-1)).squeeze(-1)
    return -chosen


def step_statistics(logits: torch.Tensor, targets: torch.Tensor) -> dict:
    """One value per column of the telemetry for logits (..., V) and targets (...). Loss and largest logit are
    of every token; the normaliser, entropy and root mean square only describe, and are of every fourth row:
    the scorer's share of a step stays small."""
    nll = token_nll(logits, targets)
    finite = torch.isfinite(nll)
    smallest, largest = (float(extreme) for extreme in torch.aminmax(logits))
    absmax = max(largest, -smallest)
    if not math.isfinite(absmax):  # something is not a number, or infinite
        absmax = float(torch.where(torch.isfinite(logits), logits, torch.zeros_like(logits)).abs().max())
    return {
        "nll_sum": float(nll[finite].double().sum()),
        "n_tok": int(nll.numel()),
        "logit_absmax": absmax,
        "nonfinite": int((~finite).sum()),
        **_description(logits[::_DESCRIBED_EVERY], absmax),
    }


def _description(logits: torch.Tensor, absmax: float) -> dict:
    z = torch.logsumexp(logits, -1)
    log_p = logits - z.unsqueeze(-1)
    # a token that cannot be (probability 0, logit -inf) adds nothing to the entropy
    entropy = -(log_p.exp() * log_p.clamp(min=-1e30)).sum(-1)
    bounded = torch.where(torch.isfinite(logits), logits, torch.zeros_like(logits))
    rms = float((bounded / absmax).pow(2).mean().sqrt()) * absmax if absmax > 0 and logits.numel() else 0.0
    return {"z_mean": _mean_of_finite(z), "logit_rms": rms, "entropy": _mean_of_finite(entropy)}


def _mean_of_finite(values: torch.Tensor) -> float:
    values = values[torch.isfinite(values)]
    return float(values.double().mean()) if values.numel() else 0.0


def early_and_late(logits: torch.Tensor, targets: torch.Tensor) -> dict:
    """Mean loss in nats of the first and of the last quarter of the positions."""
    nll = charged_nats(token_nll(logits, targets), logits.shape[-1]).double()
    quarter = max(1, nll.shape[1] // 4)
    return {"nll_early": float(nll[:, :quarter].mean()), "nll_late": float(nll[:, -quarter:].mean())}


def recall_statistics(logits: torch.Tensor, targets: torch.Tensor) -> dict:
    """The columns of a step over the positions that ask something, and how many were answered right: the
    likeliest token is the answer. Logits that are not numbers answer nothing."""
    asked = targets != IGNORED
    logits, wanted = logits[asked], targets[asked]
    values = step_statistics(logits, wanted)
    best = torch.where(torch.isfinite(logits), logits, torch.full_like(logits, float("-inf")))
    right = (best.argmax(-1) == wanted) & torch.isfinite(logits).all(-1)
    return {**values, "n_right": int(right.sum()), "n_query": int(wanted.numel())}


def kl_nats(p: torch.Tensor, q: torch.Tensor, rounding: float = ROUNDING) -> torch.Tensor:
    """KL(p‖q) over the last dimension of two sets of log-probabilities. Where both are not finite
    they agree (0); where one is, they differ as much as can be. What `rounding` explains is taken off."""
    p_ok, q_ok = ~torch.isnan(p).any(-1), ~torch.isnan(q).any(-1)
    weight = p.exp()
    term = torch.where(weight > 0, weight * (p - q), torch.zeros_like(p))
    spread = torch.maximum(p.amax(-1) - p.amin(-1), q.amax(-1) - q.amin(-1))
    explained = rounding * torch.where(torch.isfinite(spread), spread, torch.zeros_like(spread))
    kl = (term.sum(-1) - explained).clamp(min=0.0, max=KL_NATS_MAX)
    kl = torch.where(p_ok & q_ok & ~torch.isnan(kl), kl, torch.full_like(kl, KL_NATS_MAX))
    return torch.where(~p_ok & ~q_ok, torch.zeros_like(kl), kl)


def mean_and_error(values: list[float]) -> tuple[float, float]:
    """Mean and its standard error; (0, 0) of nothing, error 0 of a single value."""
    if not values:
        return 0.0, 0.0
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, 0.0
    variance = math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1)
    return mean, math.sqrt(variance / len(values))


def charged_nats(nll: torch.Tensor, vocab_size: int) -> torch.Tensor:
    """Losses in which a token that is not finite costs 2 ln V, and none more than NLL_NATS_MAX."""
    charged = torch.where(torch.isfinite(nll), nll, torch.full_like(nll, 2.0 * math.log(vocab_size)))
    return charged.clamp(max=NLL_NATS_MAX)
