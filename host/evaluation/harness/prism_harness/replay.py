"""Runs an exported model without its code: an interpreter over a graph of named operations.

A graph comes from the process that runs the miner's code and is hostile. Here it is data: only the
operations listed below run, on tensors only; there is no file, no import, no view of foreign memory
and no name that is looked up anywhere else. The interpreter itself runs in a fresh confined guest
into which no project was ever loaded, so that a graph that asks for too much ends that guest.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import Any

import torch

from . import operation_count

NODES_MAX = 20_000
GRAPH_BYTES_MAX = 900 * 1024  # it has to fit a frame
_DEPTH_MAX = 4
_CONSTANTS_MAX = 65_536  # numbers in one constant: tables of rotations and masks, no place for a second model
_ELEMENTS_MAX = 1 << 27
_NAMES = """
abs add.Tensor add.Scalar addmm alias all all.dim amax amin any any.dim arange arange.start arange.start_step argmax argmin
atan2 avg_pool1d baddbmm bitwise_and.Tensor bitwise_not bitwise_or.Tensor bmm bucketize.Tensor cat ceil chunk clamp
clamp.Tensor clamp_max clamp_min clone constant_pad_nd contiguous conv1d convolution cos cumprod cumsum detach diagonal diff
div.Scalar div.Tensor div.Tensor_mode dot dropout einsum elu embedding eq.Scalar eq.Tensor erf exp exp2 expand expand_as expm1
eye flatten.using_ints flip floor floor_divide fmod.Scalar full full_like gather ge.Scalar ge.Tensor gelu glu group_norm
gt.Scalar gt.Tensor hardtanh index.Tensor index_select layer_norm le.Scalar le.Tensor leaky_relu lerp.Scalar lerp.Tensor
lift_fresh_copy linalg_vector_norm linear log log1p log2 log_sigmoid log_softmax.int _log_softmax logical_and logical_not
logical_or logical_xor logsumexp lt.Scalar lt.Tensor masked_fill.Scalar masked_fill.Tensor matmul max max.dim max.other maximum
mean mean.dim min min.dim min.other minimum mish mm movedim.int mul.Scalar mul.Tensor mv narrow native_group_norm
native_layer_norm ne.Scalar ne.Tensor neg new_full new_ones new_zeros norm.ScalarOpt_dim numpy_T one_hot ones ones_like outer
pad permute pow.Scalar pow.Tensor_Scalar pow.Tensor_Tensor prelu prod prod.dim_int reciprocal relu remainder.Scalar
remainder.Tensor repeat repeat_interleave.self_int reshape rms_norm roll round rsqrt rsub.Scalar scalar_tensor
scaled_dot_product_attention _scaled_dot_product_flash_attention_for_cpu scatter.src scatter.value scatter_add select.int
selu sigmoid sign silu sin slice.Tensor _softmax _safe_softmax softmax.int softplus sort split.Tensor split.sizes
split_with_sizes sqrt square squeeze squeeze.dim squeeze.dims stack std.correction sub.Scalar sub.Tensor sum
sum.dim_IntList t tanh tile to.dtype _to_copy topk transpose.int tril triu type_as unbind.int unflatten.int unfold
unsqueeze var.correction var_mean.correction view _unsafe_view view_as where.ScalarOther where.ScalarSelf where.self
where.Scalar zeros zeros_like
"""
ALLOWED = frozenset(f"aten.{name}" if "." in name else f"aten.{name}.default" for name in _NAMES.split())
_DTYPES = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
_WORDS = ("floor", "trunc", "none", "tanh", "mean", "sum", "constant", "reflect", "replicate", "circular", "right", "left")
_EQUATION = re.compile(r"[a-zA-Z, ]{1,40}->[a-zA-Z ]{0,20}")  # of einsum
_FACTORIES = ("full", "ones", "zeros", "eye", "arange", "new_full", "new_ones", "new_zeros", "scalar_tensor")


class GraphError(Exception):
    """The graph is malformed or asks for what is not allowed."""


def summary(graph: object) -> tuple[str, int]:
    """Digest of a graph and how many different operations it has, after checking its outline."""
    if not isinstance(graph, dict) or not isinstance(graph.get("nodes"), list) or len(graph["nodes"]) > NODES_MAX:
        raise GraphError("no graph, or too large")
    if not all(isinstance(node, dict) and isinstance(node.get("op"), str) for node in graph["nodes"]):
        raise GraphError("a node has no operation")
    text = json.dumps(graph, sort_keys=True, separators=(",", ":")).encode()
    return hashlib.sha256(text).hexdigest(), len({node["op"] for node in graph["nodes"]})


def run(graph: dict, weights: dict[str, torch.Tensor], tokens: torch.Tensor) -> tuple[torch.Tensor, int]:
    """The graph's logits for `tokens`, and how many arithmetic operations it took to get there."""
    summary(graph)
    values: dict[str, Any] = {}
    operations = 0
    for name, source in _pairs(graph.get("inputs")):
        values[name] = _input(source, weights, tokens)
    last = _last_uses(graph)
    with torch.no_grad():
        for at, node in enumerate(graph["nodes"]):
            args, kwargs, result = _evaluate(node, values)
            values[_text(node.get("name"))] = result
            operations += operation_count.of(node["op"], args, kwargs, result)
            for name in last.get(at, ()):
                values.pop(name, None)
    logits = values.get(_text(graph.get("output")))
    if not isinstance(logits, torch.Tensor) or not logits.is_floating_point():
        raise GraphError("the output is no tensor of numbers")
    return logits.float(), operations


def _input(source: Any, weights: dict[str, torch.Tensor], tokens: torch.Tensor) -> torch.Tensor:
    if source == "tokens":
        return tokens
    if isinstance(source, dict) and isinstance(source.get("weight"), str) and source["weight"] in weights:
        return weights[source["weight"]]
    if isinstance(source, dict) and isinstance(source.get("constant"), list):
        numbers = [_number(value) for value in source["constant"]]
        shape = source.get("shape")
        if len(numbers) > _CONSTANTS_MAX or not isinstance(shape, list) or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise GraphError("a constant is too large or has no shape")
        if math.prod(shape) != len(numbers):
            raise GraphError("a constant does not fill its shape")
        return torch.tensor(numbers, dtype=_dtype(source.get("dtype"))).reshape(shape)
    raise GraphError("an input is neither tokens, a weight nor a constant")


def _evaluate(node: dict, values: dict[str, Any]) -> tuple[list, dict, Any]:
    """Arguments by place and by name, and the result."""
    args = [_argument(value, values, 0) for value in _list(node.get("args"))]
    if node["op"] == "getitem":
        if len(args) != 2 or not isinstance(args[0], (tuple, list)) or not isinstance(args[1], int):
            raise GraphError("getitem takes a result and a number")
        return args, {}, args[0][args[1]]
    if node["op"] not in ALLOWED:
        raise GraphError(f"the operation `{node['op'][:60]}` is not allowed")
    given = node.get("kwargs", {})
    if not isinstance(given, dict):
        raise GraphError("kwargs are not an object")
    kwargs = {_text(name): _argument(value, values, 0) for name, value in given.items()}
    _, name, overload = node["op"].split(".")
    if name in _FACTORIES:
        _bound(args)
    return args, kwargs, getattr(getattr(torch.ops.aten, name), overload)(*args, **kwargs)


def _bound(args: list) -> None:
    """A factory's result must be of a sensible size; all else grows from what is there."""
    for value in args:
        size = math.prod(value) if isinstance(value, list) and all(isinstance(n, int) for n in value) else value
        if isinstance(size, (int, float)) and not isinstance(size, bool) and not abs(size) <= _ELEMENTS_MAX and not math.isinf(size):
            raise GraphError("a tensor would be too large")


def _argument(value: Any, values: dict[str, Any], depth: int) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        if value not in _WORDS and not _EQUATION.fullmatch(value):
            raise GraphError("an argument is an unknown word")
        return value
    if isinstance(value, list) and depth < _DEPTH_MAX:
        return [_argument(entry, values, depth + 1) for entry in value]
    if isinstance(value, dict) and len(value) == 1:
        (kind, name), = value.items()
        if kind == "node" and isinstance(name, str) and name in values:
            return values[name]
        if kind == "number":
            return _number(value)
        if kind == "dtype":
            return _dtype(name)
        if kind == "memory_format" and name in ("contiguous_format", "preserve_format"):
            return getattr(torch, name)
    raise GraphError("an argument is of an unknown form")


def _number(value: Any) -> Any:
    """A number; those that JSON lacks are written as {"number": "inf"}."""
    if isinstance(value, dict) and value.get("number") in ("inf", "-inf", "nan"):
        return float(value["number"])
    if not isinstance(value, (bool, int, float)):
        raise GraphError("a constant is no number")
    return value


def _dtype(name: Any) -> torch.dtype:
    if name not in _DTYPES:
        raise GraphError("an unknown type")
    return getattr(torch, name)


def _last_uses(graph: dict) -> dict[int, list[str]]:
    """Node index -> names that no later node needs, so that a deep model is not held as a whole."""
    last: dict[str, int] = {}
    for at, node in enumerate(graph["nodes"]):
        stack = [node.get("args"), node.get("kwargs")]
        while stack:
            value = stack.pop()
            if isinstance(value, dict):
                if isinstance(value.get("node"), str):
                    last[value["node"]] = at
                stack.extend(value.values())
            elif isinstance(value, list):
                stack.extend(value)
    last.pop(graph.get("output"), None)
    freed: dict[int, list[str]] = {}
    for name, at in last.items():
        freed.setdefault(at, []).append(name)
    return freed


def _pairs(value: Any) -> list:
    if not isinstance(value, dict):
        raise GraphError("the inputs are not an object")
    return list(value.items())


def _list(value: Any) -> list:
    if not isinstance(value, list):
        raise GraphError("args are not a list")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 300:
        raise GraphError("a name is not text")
    return value
