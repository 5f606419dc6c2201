"""Whether one forward pass can serve both to commit logits and to train on them.

Logits are committed in evaluation mode, before the targets are known; a step then needs the same
logits with their graph. A second pass would give the same numbers at a quarter of a step's cost, so
it is saved where it can be shown to give the same: dropout, noise, batch statistics and whatever else
tells training from evaluation need their own pass.
"""

from __future__ import annotations

import random
from typing import Callable

import torch


def serves(model: torch.nn.Module, logits: Callable[[], torch.Tensor]) -> bool:
    """Tries both modes on the model as it is built; leaves its weights, buffers and the random state alone."""
    values, state = _values(model), _random_state()
    try:
        with torch.enable_grad():
            model.train()
            training = logits()
            model.eval()
            evaluation = logits()
            if _random_state() != state or not _same(_values(model), values) or not torch.equal(training, evaluation):
                return False
            if not (training.requires_grad and evaluation.requires_grad):
                return False
            evaluation.float().sum().backward()  # some kernels cannot in this mode
            return True
    finally:
        model.zero_grad(set_to_none=True)
        _restore(model, values, state)


def _values(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Weights and buffers; a forward pass that changes either must run where the project expects it."""
    return {name: value.detach().clone() for name, value in _named(model)}


def _named(model: torch.nn.Module) -> list[tuple[str, torch.Tensor]]:
    return [*model.named_parameters(), *model.named_buffers()]


def _same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def _random_state() -> tuple:
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return (random.getstate(), *(state.numpy().tobytes() for state in (torch.get_rng_state(), *devices)))


def _restore(model: torch.nn.Module, values: dict[str, torch.Tensor], state: tuple) -> None:
    with torch.no_grad():
        for name, value in _named(model):
            if name in values and not torch.equal(value, values[name]):
                value.copy_(values[name])
    python, here, *devices = state
    random.setstate(python)
    torch.set_rng_state(_bytes(here))
    if devices:
        torch.cuda.set_rng_state_all([_bytes(device) for device in devices])


def _bytes(raw: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(raw), dtype=torch.uint8)
