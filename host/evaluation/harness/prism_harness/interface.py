"""The public interface that miners' projects import as `prism_challenge.evaluator.interface`.

Names, order and defaults of the first fields are those of the service that PRISM replaces, so that
projects written for it run unchanged. Fields below the line are new.
"""

from __future__ import annotations

import sys
import types
from dataclasses import dataclass, field
from typing import Any

MODULE_NAME = "prism_challenge.evaluator.interface"


@dataclass(frozen=True)
class PrismContext:
    """What a project may know of the run: sizes, limits and a seed."""

    vocab_size: int = 4096
    sequence_length: int = 128  # tokens in a training row
    max_layers: int = 96
    max_parameters: int = 150_000_000
    seed: int = 1337
    checkpoint_dir: Any = None
    resume_checkpoint_dir: Any = None
    checkpoint_api_version: int = 1
    attempt: int = 1
    is_resume: bool = False
    rank: int = 0
    local_rank: int = 0
    world_size: int = 1
    distributed_backend: str | None = None
    device: str = "cpu"  # or "cuda": where the model computes and the tokens lie
    checkpoint_metadata: dict = field(default_factory=dict)
    # new: the rung of the size ladder and the length of the run
    d_model: int = 64
    n_layer: int = 2
    batch_size: int = 8  # rows in a step
    step_budget: int = 150  # steps that will be taken
    token_budget: int | None = None
    lr_mult: float = 1.0

    @property
    def max_seq_len(self) -> int:
        return self.sequence_length

    @property
    def max_params(self) -> int:
        return self.max_parameters


@dataclass(frozen=True)
class TrainingRecipe:
    """What `get_recipe` returns; a dict with these keys serves too."""

    learning_rate: float = 3e-4
    batch_size: int = 4
    optimizer: str = "adamw"
    scheduler: str = "cosine"
    weight_decay: float = 0.01


@dataclass(frozen=True)
class PrismBatch:
    """Rows of token ids, shape (batch, length). `targets` is None until the logits are committed; one of
    -100 is not asked for.

    An inference hook with a parameter `state` is also given one token at a time, shape (batch, 1), with
    the state that it returned before (None at first), and returns (logits, state)."""

    tokens: Any
    targets: Any = None
    metadata: dict | None = None


def import_torch() -> Any:
    import torch

    return torch


def register() -> None:
    """Makes the module importable under its public name, before any project code runs."""
    here = sys.modules[__name__]
    package, evaluator = types.ModuleType("prism_challenge"), types.ModuleType("prism_challenge.evaluator")
    package.__path__, evaluator.__path__ = [], []
    package.evaluator, evaluator.interface = evaluator, here
    sys.modules.update({"prism_challenge": package, "prism_challenge.evaluator": evaluator, MODULE_NAME: here})
