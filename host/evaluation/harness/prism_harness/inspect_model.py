"""One look inside the model in a guest: a forward and a backward pass of the evaluator's loss with
hooks on the repeated blocks, and nothing changed by it.

Works for any `torch.nn.Module`. What it reports comes from the process that runs the miner's code,
so the scorer treats it as advice.
"""

from __future__ import annotations

import math
import random
import sys
from collections import Counter
from typing import Any, Callable

import torch
from torch import nn

from .operations import OperationWatch

_LISTS = (nn.ModuleList, nn.ModuleDict)
LAYERS_MAX = 64  # rows of one kind; of a deeper model evenly spaced layers are reported


def inspect(model: Any, tokens: torch.Tensor, vocab_size: int, loss_of: Callable[[], tuple[torch.Tensor, torch.Tensor]]) -> dict:
    """`loss_of` runs the model forward in train mode and answers loss and logits."""
    if not isinstance(model, nn.Module):
        return {"layers": [], "grad_norm": None}
    try:
        return _look(model, OperationWatch(*tokens.shape, vocab_size), loss_of)
    except (RuntimeError, TypeError, NotImplementedError, AttributeError):
        # Some models cannot run under a dispatch mode: then attention and routers are not measured.
        return _look(model, None, loss_of)


def _look(model: nn.Module, watch: OperationWatch | None, loss_of: Callable[[], tuple[torch.Tensor, torch.Tensor]]) -> dict:
    with Untouched(model):
        for parameter in model.parameters():
            parameter.grad = None
        model.train()
        taps = Taps(model, watch)
        try:
            if watch is None:
                loss, logits = loss_of()
            else:
                with watch:
                    loss, logits = loss_of()
        finally:
            taps.close()
        loss.backward()
        layers = taps.rows(logits)
        squares = sum(_squares(parameter) for parameter in model.parameters())
        return {"layers": layers, "grad_norm": math.sqrt(squares) if math.isfinite(squares) else None}


class Untouched:
    """Leaves everything as it was found: values and gradients of the model, its mode, and the random
    numbers, so that the next training step does not depend on whether somebody looked."""

    def __init__(self, model: nn.Module):
        self._modules = list(model.modules())
        self._device = next((p.device for p in model.parameters()), torch.device("cpu"))

    def __enter__(self) -> None:
        self._modes = [module.training for module in self._modules]
        self._held = [(owned, name, tensor, tensor.detach().clone())
                      for module in self._modules for owned in (module._parameters, module._buffers)
                      for name, tensor in owned.items() if tensor is not None]
        self._gradients = [tensor.grad if isinstance(tensor, nn.Parameter) else None for _, _, tensor, _ in self._held]
        numpy = sys.modules.get("numpy")
        self._random = (torch.get_rng_state(), random.getstate(), numpy.random.get_state() if numpy else None)
        self._random_cuda = torch.cuda.get_rng_state(self._device) if self._device.type == "cuda" else None

    def __exit__(self, *_: Any) -> None:
        for module, mode in zip(self._modules, self._modes):
            module.training = mode
        with torch.no_grad():
            for (owned, name, tensor, value), gradient in zip(self._held, self._gradients):
                owned[name] = tensor
                if isinstance(tensor, nn.Parameter):
                    tensor.grad = gradient
                if not torch.equal(tensor, value):
                    tensor.copy_(value)
        torch.set_rng_state(self._random[0])
        random.setstate(self._random[1])
        if self._random[2] is not None:
            sys.modules["numpy"].random.set_state(self._random[2])
        if self._random_cuda is not None:
            torch.cuda.set_rng_state(self._random_cuda, self._device)


class Taps:
    """Forward hooks on the blocks and the embedding, and the rows that follow from them."""

    def __init__(self, model: nn.Module, watch: OperationWatch | None):
        self._watch, self._calls = watch, []
        self._blocks = repeated_blocks(model)
        self._embeddings = [module for module in model.modules() if isinstance(module, nn.Embedding)][:1]
        self._handles = [module.register_forward_hook(self._note) for module in self._blocks]
        self._handles += [module.register_forward_hook(self._note) for module in self._embeddings if module not in self._blocks]
        if watch is not None:
            self._handles += watch.follow(model)

    def close(self) -> None:
        for handle in self._handles:
            handle.remove()

    def rows(self, logits: torch.Tensor) -> list[dict]:
        """Rows of each kind, counted from 0; a block that is called again is one more layer."""
        blocks = [(module, row) for module, row in self._calls if module in self._blocks]
        called = {id(module) for module, _ in blocks}
        blocks += [(module, {}) for module in self._blocks if id(module) not in called]
        found = {
            "block": [{**row, **gradient_row(module)} for module, row in blocks],
            "embed": [{**row, **gradient_row(module)} for module, row in self._calls if module in self._embeddings][:1],
            "head": [{name: value for name, value in activation_row(logits).items() if name != "act_chan_kurt"}],
            "attn": self._watch.attention if self._watch is not None else [],
            "router": self._watch.router_rows() if self._watch is not None else [],
            "product": [{"act_absmax": self._watch.product_absmax}] if self._watch is not None and self._watch.product_absmax else [],
        }
        return [{"layer": layer, "kind": kind, **rows[layer]}
                for kind, rows in found.items() for layer in evenly(len(rows), LAYERS_MAX) if rows[layer]]

    def _note(self, module: nn.Module, _given: Any, out: Any) -> None:
        while isinstance(out, (tuple, list)) and out:
            out = out[0]
        if isinstance(out, dict):
            out = next((value for value in out.values() if isinstance(value, torch.Tensor)), None)
        if isinstance(out, torch.Tensor) and out.is_floating_point() and out.layout == torch.strided and out.numel():
            self._calls.append((module, activation_row(out)))


def repeated_blocks(model: nn.Module) -> list[nn.Module]:
    """The elements of the model's longest list of like modules; else its children with parameters.
    A list inside an element of a list is part of a block; modules with parts outrank plain ones."""
    best, rank, seen = [], (False, 0, 0), []
    for name, module in model.named_modules():
        if any(name.startswith(prefix) for prefix in seen) or not isinstance(module, (*_LISTS, nn.Sequential)):
            continue
        elements = _like(list(_flat(module)), isinstance(module, _LISTS))
        if not elements:
            continue
        seen.append(f"{name}." if name else "")
        weight = sum(parameter.numel() for element in elements for parameter in element.parameters())
        composite = any(next(element.children(), None) is not None for element in elements)
        if (composite, len(elements), weight) > rank:
            best, rank = elements, (composite, len(elements), weight)
    if best:
        return best
    return [child for child in model.children() if next(child.parameters(), None) is not None and not isinstance(child, nn.Embedding)]


def _flat(container: nn.Module) -> Any:
    """Elements that are called: lists in lists are containers only."""
    for child in container.children():
        if isinstance(child, _LISTS):
            yield from _flat(child)
        elif next(child.parameters(), None) is not None:
            yield child


def _like(elements: list[nn.Module], is_list: bool) -> list[nn.Module]:
    kinds = Counter(type(element) for element in elements)
    if is_list and len(elements) == 1:
        return elements
    return [element for element in elements
            if kinds[type(element)] > 1 or (is_list and next(element.children(), None) is not None)]


def activation_row(out: torch.Tensor) -> dict:
    """Statistics of an activation whose last dimension holds the channels. The kurtosis over channels
    is mean(m²)/mean(m)² of each channel's mean square m: 1 when all are alike, their number when one
    carries everything."""
    values = out.detach().double()
    finite = torch.isfinite(values)
    square = torch.where(finite, values, torch.zeros_like(values)).square()
    per_channel = square.reshape(-1, square.shape[-1]).mean(0) if square.dim() else square.reshape(1)
    mean, count = float(per_channel.mean()), int(finite.sum())
    row = {
        "act_rms": math.sqrt(float(square.sum()) / max(1, count)),
        "act_absmax": math.sqrt(float(square.max())),
        "act_chan_kurt": float((per_channel / mean).square().mean()) if mean > 0 else None,
        "act_nonfinite": values.numel() - count,
    }
    return {name: value for name, value in row.items() if value is not None and math.isfinite(value)}


def gradient_row(module: nn.Module) -> dict:
    """The gradient's root mean square over a module's parameters; one without a gradient counts as 0."""
    count = sum(parameter.numel() for parameter in module.parameters())
    squares = sum(_squares(parameter) for parameter in module.parameters())
    return {"grad_rms": math.sqrt(squares / count)} if count and math.isfinite(squares) else {}


def _squares(parameter: torch.Tensor) -> float:
    return 0.0 if parameter.grad is None else float(parameter.grad.detach().double().square().sum())


def evenly(count: int, limit: int) -> list[int]:
    """All of `count` indices, or `limit` of them evenly spaced from first to last."""
    if count <= limit:
        return list(range(count))
    return [at * (count - 1) // (limit - 1) for at in range(limit)]
