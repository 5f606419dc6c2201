"""Watches the operations of a forward pass for what no module boundary shows: attention weights, the
choices of routers, and how large the operands of matrix products are. Runs in guests only; what it reports is advice, never proof.

Seen below autograd, where every spelling of softmax is one operation. Attention that is written
without softmax, and routers outside modules named like one, stay unseen and therefore unmeasured.
"""

from __future__ import annotations

import math
import re
from typing import Any, Callable

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_ROUTER_NAME = re.compile(r"gate|router|expert|moe|switch", re.IGNORECASE)
_EXPERTS_MAX = 64
_FIRST_POSITIONS = 4  # with so few keys to choose from, entropy says nothing
_MASKED_BELOW = -9e3  # a logit this low with no weight is a mask that was written as a number
_ELEMENTS_MAX = 1 << 24  # of one attention map; further heads and rows are not looked at
_PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "mv", "convolution")
_SOFTMAX = ("_softmax", "_safe_softmax")


class OperationWatch(TorchDispatchMode):
    """Collects `attention` and `routers` rows in the order in which the model computes them, and the largest
    operand of a matrix product: half precision has to hold those too, wherever they are made."""

    def __init__(self, batch: int, length: int, vocab_size: int):
        super().__init__()
        self.attention: list[dict] = []
        self.product_absmax = 0.0
        self._batch, self._length, self._vocab_size = batch, length, vocab_size
        self._routers: list[_Router] = []
        self._inside_router = 0

    def follow(self, model: torch.nn.Module) -> list[Any]:
        """Hooks that tell when a module with a router is at work; the handles undo them."""
        handles = []
        for name, module in model.named_modules():
            names = [name.rsplit(".", 1)[-1], type(module).__name__, *(child for child, _ in module.named_children())]
            if any(_ROUTER_NAME.search(part) for part in names):
                handles.append(module.register_forward_pre_hook(lambda *_: self._enter(1)))
                handles.append(module.register_forward_hook(lambda *_: self._enter(-1)))
        return handles

    def router_rows(self) -> list[dict]:
        return [{"router_load": load} for load in (router.load() for router in self._routers) if load]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        schema = getattr(func, "_schema", None)
        if schema is not None:
            observe = self._observer(schema.name.split("::")[-1])
            if observe is not None:
                given = {argument.name: value for argument, value in zip(schema.arguments, args)}
                observe({**given, **(kwargs or {})}, out)
        return out

    def _observer(self, name: str) -> Callable[[dict, Any], None] | None:
        if name in _SOFTMAX:
            return self._softmax
        if name in _PRODUCTS:
            return self._product
        if name.startswith("_scaled_dot_product_") and not name.endswith("_backward"):
            return self._fused_attention
        if self._inside_router > 0 and name in ("topk", "argmax", "max"):
            return self._choice
        return None

    def _enter(self, by: int) -> None:
        self._inside_router += by

    def _product(self, given: dict, _out: Any) -> None:
        for operand in given.values():
            if isinstance(operand, torch.Tensor) and operand.is_floating_point() and operand.numel():
                largest = float(operand.detach().abs().max())
                self.product_absmax = max(self.product_absmax, largest if math.isfinite(largest) else 0.0)

    def _softmax(self, given: dict, out: Any) -> None:
        logits, dim = given["self"], given["dim"]
        if dim not in (-1, logits.dim() - 1) or logits.dim() < 2:
            return
        if logits.dim() >= 3 and tuple(logits.shape[-2:]) == (self._length, self._length):
            self._attend(logits, out)
        elif self._inside_router > 0 and self._is_per_token(logits):
            self._routers_softmax(out)

    def _fused_attention(self, given: dict, _out: Any) -> None:
        """A kernel that never shows its weights: they are computed once more."""
        query, key = given.get("query"), given.get("key")
        if query is None or key is None or query.dim() < 3 or query.shape[-2] != self._length or key.shape[-2] != self._length:
            return
        query, key = query.detach().float(), key.detach().float()
        if query.dim() == 4 and key.shape[1] != query.shape[1]:
            key = key.repeat_interleave(query.shape[1] // key.shape[1], dim=1)
        scale = given.get("scale")
        logits = query @ key.transpose(-1, -2) * (query.shape[-1] ** -0.5 if scale is None else scale)
        mask = given.get("attn_mask") if given.get("attn_mask") is not None else given.get("attn_bias")
        if mask is not None:
            logits = logits.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else logits + mask
        if given.get("is_causal"):
            logits = logits.masked_fill(torch.ones_like(logits, dtype=torch.bool).triu(1), -math.inf)
        self._attend(logits, torch.softmax(logits, dim=-1))

    def _attend(self, logits: torch.Tensor, weights: torch.Tensor) -> None:
        row = attention_row(logits, weights)
        if row is not None:
            self.attention.append(row)

    def _is_per_token(self, values: torch.Tensor) -> bool:
        """Whether the last dimension holds a few choices for each token of the batch."""
        count = values.shape[-1]
        few = 2 <= count <= _EXPERTS_MAX and count not in (self._length, self._vocab_size)
        return few and values.numel() == self._batch * self._length * count

    def _routers_softmax(self, weights: torch.Tensor) -> None:
        count = weights.shape[-1]
        last = self._routers[-1] if self._routers else None
        if last is not None and last.chosen_per_token == count != last.count:
            return  # weights among the chosen ones, not a choice of its own
        if last is None or last.count != count or last.weights is not None:
            last = _Router(count)
            self._routers.append(last)
        last.weights = weights.detach().double().reshape(-1, count).mean(0)

    def _choice(self, given: dict, out: Any) -> None:
        values, dim = given["self"], given.get("dim", -1)
        indices = out[1] if isinstance(out, (tuple, list)) else out
        if dim not in (-1, values.dim() - 1) or indices.dtype != torch.long or not self._is_per_token(values):
            return
        per_token, ranked = indices.numel() // (self._batch * self._length), "k" in given
        last = self._routers[-1] if self._routers else None
        if last is not None and last.count == values.shape[-1] and last.chosen is not None and not ranked:
            return  # a maximum taken of what was already chosen from
        if last is None or last.count != values.shape[-1] or last.chosen is not None:
            last = _Router(values.shape[-1])
            self._routers.append(last)
        last.chosen, last.chosen_per_token = torch.bincount(indices.detach().reshape(-1), minlength=last.count), per_token


class _Router:
    """What one pass through a router showed: soft weights, hard choices or both."""

    def __init__(self, count: int):
        self.count = count
        self.weights: torch.Tensor | None = None
        self.chosen: torch.Tensor | None = None
        self.chosen_per_token = 0

    def load(self) -> list[float]:
        """Shares of the experts: of choices where there are any, else the mean weights."""
        load = self.chosen.double() if self.chosen is not None else self.weights
        total = float(load.sum()) if load is not None else 0.0
        return [float(value) / total for value in load] if math.isfinite(total) and total > 0 else []


def attention_row(logits: torch.Tensor, weights: torch.Tensor) -> dict | None:
    """Statistics of causal attention (..., T, T): the largest logit and how evenly it looks back.
    None when the first position looks ahead: then this is no causal attention."""
    length = logits.shape[-1]
    heads = max(1, _ELEMENTS_MAX // (length * length))
    logits = logits.detach().reshape(-1, length, length)[:heads].float()
    weights = weights.detach().reshape(-1, length, length)[:heads].float()
    if length <= _FIRST_POSITIONS or not bool((weights[:, 0, 1:].sum(-1) < 1e-3).all()):
        return None
    allowed = torch.isfinite(logits) & ~((logits < _MASKED_BELOW) & (weights == 0))
    allowed &= torch.ones(length, length, dtype=torch.bool, device=logits.device).tril()
    keys = allowed.sum(-1)[:, _FIRST_POSITIONS:]
    entropy = -(weights * weights.clamp(min=1e-38).log()).sum(-1)[:, _FIRST_POSITIONS:]
    share = (entropy / keys.clamp(min=2).float().log())[(keys >= 2) & torch.isfinite(entropy)]
    row = {}
    if bool(allowed.any()):
        row["attn_logit_absmax"] = float(logits[allowed].abs().max())
    if share.numel():
        row["attn_entropy_frac"] = min(1.0, max(0.0, float(share.double().mean())))
    return row or None
