"""How many arithmetic operations a node of a graph takes: a multiplication and an addition are two.

Contractions are counted exactly, causal attention as if nothing were masked. All else costs one operation
for each element of its result, which counts recurrences that are written element by element; what only
renames or moves elements is free.
"""

from __future__ import annotations

import math
import re
from typing import Any

import torch

_CONTRACT_LAST = frozenset(("mm", "bmm", "matmul", "linear", "mv", "dot"))  # the first tensor's last dimension
_WITH_BIAS = frozenset(("addmm", "baddbmm"))  # the second's
_CONVOLUTIONS = frozenset(("convolution", "conv1d"))
_ATTENTION = re.compile(r"_?scaled_dot_product_")
_MOVES = frozenset("""
alias arange broadcast_to cat chunk clone constant_pad_nd contiguous detach diagonal embedding expand expand_as eye flatten flip full full_like
gather getitem index index_select lift_fresh_copy movedim narrow new_full new_ones new_zeros numpy_T ones ones_like outer pad permute repeat
repeat_interleave reshape roll scalar_tensor select slice split split_with_sizes squeeze stack t tile _to_copy to transpose type_as unbind
unflatten unfold unsqueeze view view_as _unsafe_view where zeros zeros_like
""".split())


def of(op: str, args: list, kwargs: dict, result: Any) -> int:
    """Operations of one node; `op` is `aten.name.overload` or `getitem`."""
    name = op.split(".")[1] if "." in op else op
    if name in _MOVES:
        return 0
    given = [value for value in [*args, *kwargs.values()] if isinstance(value, torch.Tensor)]
    if name in _CONTRACT_LAST and given:
        return 2 * _size(result) * _last(given[0])
    if name in _WITH_BIAS and len(given) > 1:
        return 2 * _size(result) * _last(given[1])
    if name in _CONVOLUTIONS and len(given) > 1:
        return 2 * _size(result) * math.prod(given[1].shape[1:])
    if name == "einsum" and args and isinstance(args[0], str):
        return _contraction(args[0], args[1:])
    if _ATTENTION.match(name) and len(given) > 1 and given[0].dim() > 1:
        return 4 * given[0].numel() * given[1].shape[-2]  # queries with keys, weights with values
    return _size(result)


def _contraction(equation: str, operands: list) -> int:
    """Two for each product that is summed, over all indices of all operands."""
    tensors = operands[0] if operands and isinstance(operands[0], (list, tuple)) else operands
    sizes: dict[str, int] = {}
    for names, tensor in zip(equation.replace(" ", "").split("->")[0].split(","), tensors):
        sizes.update(zip(names, tensor.shape))
    return 2 * math.prod(sizes.values())


def _size(result: Any) -> int:
    if isinstance(result, torch.Tensor):
        return result.numel()
    return sum(map(_size, result)) if isinstance(result, (list, tuple)) else 0


def _last(tensor: torch.Tensor) -> int:
    return tensor.shape[-1] if tensor.dim() else 1
