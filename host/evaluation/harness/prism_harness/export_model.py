"""Writes a model as a graph of named operations, for the scorer to run without the model's code.

Needs `torch.export` as PyTorch has it from 2.2 on. What cannot be exported (choices that depend on
values, operations outside the list, very long loops) is answered with None: not measured.
"""

from __future__ import annotations

import inspect
import json
import math
import operator
from typing import Any, Callable

import torch

from .replay import ALLOWED, GRAPH_BYTES_MAX, NODES_MAX

_CONSTANTS_MAX = 65_536
_ON_THE_DEVICE = ("device", "layout", "pin_memory")  # where a result lies is the interpreter's matter
_ASSERTIONS = ("aten._assert_tensor_metadata.default", "aten._assert_async.msg", "aten._assert_scalar.default")


def export(model: torch.nn.Module, logits_of: Callable[[torch.Tensor], torch.Tensor], tokens: torch.Tensor) -> dict | None:
    """The graph of `logits_of` for tokens of this very shape, or None."""
    try:
        import torch.export as exporter

        settings = {"strict": False} if "strict" in inspect.signature(exporter.export).parameters else {}
        with torch.no_grad():
            program = exporter.export(_Whole(model, logits_of), (tokens,), **settings)
            graph = _written(program)
            if graph is None:
                graph = _written(program.run_decompositions())
        return graph if graph is not None and len(json.dumps(graph)) <= GRAPH_BYTES_MAX else None
    except Exception:  # an exporter fails in many ways, and none of them is a fault of the model
        return None


class _Whole(torch.nn.Module):
    """Gives the exporter one module that holds the weights and takes the way that logits are asked."""

    def __init__(self, model: torch.nn.Module, logits_of: Callable[[torch.Tensor], torch.Tensor]):
        super().__init__()
        self.model, self._logits_of = model, logits_of

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self._logits_of(tokens)


def _written(program: Any) -> dict | None:
    """The program as JSON; None when it holds an operation that the interpreter does not run."""
    signature, inputs = program.graph_signature, {}
    for spec in signature.input_specs:
        kind = spec.kind.name
        if kind == "USER_INPUT":
            inputs[spec.arg.name] = "tokens"
        elif kind in ("PARAMETER", "BUFFER") and spec.target in program.state_dict:
            inputs[spec.arg.name] = {"weight": spec.target.removeprefix("model.")}
        else:
            inputs[spec.arg.name] = _constant(program.constants[spec.target])
    outputs = [spec.arg.name for spec in signature.output_specs if spec.kind.name == "USER_OUTPUT"]
    nodes = [_node(node) for node in program.graph.nodes if node.op == "call_function" and str(node.target) not in _ASSERTIONS]
    if any(node.op not in ("placeholder", "call_function", "output") for node in program.graph.nodes) or len(nodes) > NODES_MAX:
        return None
    if any(node["op"] != "getitem" and node["op"] not in ALLOWED for node in nodes) or len(outputs) != 1:
        return None
    return {"inputs": inputs, "nodes": nodes, "output": outputs[0]}


def _node(node: Any) -> dict:
    op = "getitem" if node.target is operator.getitem else str(node.target)
    kwargs = {name: _value(value) for name, value in node.kwargs.items() if name not in _ON_THE_DEVICE}
    return {"name": node.name, "op": op, "args": [_value(value) for value in node.args], **({"kwargs": kwargs} if kwargs else {})}


def _value(value: Any) -> Any:
    if isinstance(value, torch.fx.Node):
        return {"node": value.name}
    if isinstance(value, (list, tuple)):
        return [_value(entry) for entry in value]
    if isinstance(value, torch.dtype):
        return {"dtype": str(value).removeprefix("torch.")}
    if isinstance(value, torch.memory_format):
        return {"memory_format": str(value).removeprefix("torch.")}
    if isinstance(value, float) and not math.isfinite(value):
        return {"number": str(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"an argument of type {type(value).__name__}")


def _constant(tensor: torch.Tensor) -> dict:
    if tensor.numel() > _CONSTANTS_MAX:
        raise ValueError("a constant is too large")
    numbers = [_value(value) for value in tensor.detach().cpu().reshape(-1).tolist()]
    return {"constant": numbers, "shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
