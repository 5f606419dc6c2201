"""Takes training steps in a guest, under the project's own recipe and hooks or the evaluator's.

Precedence: train_step over compute_loss over cross-entropy; configure_optimizer over the recipe's
optimizer. The evaluator's recipe uses none of the training hooks.
"""

from __future__ import annotations

import contextlib
import functools
import math
from typing import Any, Callable

import torch
import torch.nn.functional as functional

from .interface import PrismBatch, PrismContext, TrainingRecipe
from .project import Project, ProjectError

IGNORED = -100  # a target that is not asked for
_GRADIENT_NORM_MAX = 1.0
_OPTIMIZERS = ("adamw", "adam", "sgd", "rmsprop", "adagrad", "nadam", "radam")


def read_recipe(returned: Any) -> TrainingRecipe:
    """The recipe that `get_recipe` returned, as an object or as a dict, with sound numbers."""
    defaults = TrainingRecipe()
    get = returned.get if isinstance(returned, dict) else lambda name, default: getattr(returned, name, default)
    if returned is None:
        raise ProjectError("contract", "`get_recipe` returned None")
    try:
        recipe = TrainingRecipe(
            learning_rate=float(get("learning_rate", defaults.learning_rate)),
            batch_size=int(get("batch_size", defaults.batch_size)),
            optimizer=str(get("optimizer", defaults.optimizer)).lower(),
            scheduler=str(get("scheduler", defaults.scheduler)).lower(),
            weight_decay=float(get("weight_decay", defaults.weight_decay)),
        )
    except (TypeError, ValueError, OverflowError):
        raise ProjectError("contract", "`get_recipe` returned fields of a wrong type") from None
    if not (math.isfinite(recipe.learning_rate) and recipe.learning_rate > 0):
        raise ProjectError("contract", f"the recipe's learning_rate is `{recipe.learning_rate}`")
    if not (math.isfinite(recipe.weight_decay) and recipe.weight_decay >= 0):
        raise ProjectError("contract", f"the recipe's weight_decay is `{recipe.weight_decay}`")
    if recipe.batch_size < 1:
        raise ProjectError("contract", f"the recipe's batch_size is `{recipe.batch_size}`")
    return recipe


def schedule_factor(scheduler: str, step: int, steps: int, warmup_fraction: float) -> float:
    """What the learning rate is multiplied with at `step` of `steps`: a linear warm-up, then
    `cosine` (to a tenth), `linear` (to a tenth) or, for any other name, constant."""
    warmup = max(1, round(steps * warmup_fraction))
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    if "cosine" in scheduler:
        return 0.1 + 0.9 * 0.5 * (1.0 + math.cos(math.pi * done))
    if "linear" in scheduler:
        return 1.0 - 0.9 * done
    return 1.0


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The evaluator's loss, in float32: mean over the targets; one of -100 is not asked for."""
    return functional.cross_entropy(logits.reshape(-1, logits.shape[-1]).float(), targets.reshape(-1), ignore_index=IGNORED)


def precision_context(device: torch.device, precision: str | None) -> Callable[[], Any]:
    """What a training forward pass runs under: bfloat16 by autocast on a GPU, when the plan asks for it."""
    if device.type == "cuda" and precision == "bf16":
        return functools.partial(torch.autocast, "cuda", dtype=torch.bfloat16)
    return contextlib.nullcontext


class Trainer:
    """One model, one optimizer, one recipe."""

    def __init__(
        self, project: Project, model: Any, context: PrismContext, recipe: TrainingRecipe, settings: dict,
        logits: Callable[[PrismBatch], torch.Tensor], precision: Callable[[], Any],
    ):
        self._model, self._context, self._recipe, self._settings = model, context, recipe, settings
        self._logits, self._precision = logits, precision
        self._own = settings["own_recipe"]
        self._train_step = project.function("train_step") if self._own else None
        self._compute_loss = project.function("compute_loss") if self._own else None
        configure = project.function("configure_optimizer") if self._own else None
        self.ours = configure is None
        self._optimizer = self._build_optimizer() if configure is None else configure(model, recipe, context)
        self._step = 0

    @property
    def plain_loss(self) -> bool:
        """Whether the loss is the cross-entropy of a forward pass as logits are committed from one."""
        return self._train_step is None and self._compute_loss is None and self._precision is contextlib.nullcontext

    def step(self, tokens: torch.Tensor, targets: torch.Tensor, logits: torch.Tensor | None = None) -> dict:
        """One update; answers what the guest itself saw of it (never used to raise a score). `logits` are
        those of a forward pass that was made already."""
        if self.ours:
            factor = schedule_factor(self._recipe.scheduler, self._step, self._context.step_budget, self._settings["warmup_fraction"])
            for group in self._optimizer.param_groups:
                group["lr"] = self._recipe.learning_rate * factor * self._context.lr_mult
        self._step += 1
        batch = PrismBatch(tokens=tokens, targets=targets, metadata={})
        if hasattr(self._model, "train"):
            self._model.train()
        norm = None
        if self._train_step is not None:
            loss = self._train_step(self._model, batch, self._optimizer, self._context)
        else:
            self._optimizer.zero_grad()
            with self._precision():
                loss = self._loss(batch) if logits is None else cross_entropy(logits, targets)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(self._parameters(), _GRADIENT_NORM_MAX)
            self._optimizer.step()
        return {"loss": _number(loss), "grad_norm": _number(norm), "lr": self._learning_rate()}

    def _loss(self, batch: PrismBatch) -> torch.Tensor:
        if self._compute_loss is not None:
            loss = self._compute_loss(self._model, batch, self._context)
            if isinstance(loss, (tuple, list)) and loss:
                loss = loss[0]
            elif isinstance(loss, dict):
                loss = loss.get("loss")
            if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
                raise ProjectError("contract", "`compute_loss` did not return a scalar tensor")
            return loss.reshape(())
        return cross_entropy(self._logits(batch), batch.targets)

    def _build_optimizer(self) -> Any:
        recipe, parameters = self._recipe, self._parameters()
        rate = {"lr": recipe.learning_rate, "weight_decay": recipe.weight_decay}
        kind = recipe.optimizer if recipe.optimizer in _OPTIMIZERS else "adamw"
        if kind in ("adamw", "adam", "nadam", "radam"):
            name = {"adamw": "AdamW", "adam": "Adam", "nadam": "NAdam", "radam": "RAdam"}[kind]
            return getattr(torch.optim, name)(parameters, betas=tuple(self._settings["betas"]), **rate)
        if kind == "sgd":
            return torch.optim.SGD(parameters, momentum=0.9, **rate)
        return (torch.optim.RMSprop if kind == "rmsprop" else torch.optim.Adagrad)(parameters, **rate)

    def _parameters(self) -> list:
        return [p for p in self._model.parameters() if p.requires_grad]

    def _learning_rate(self) -> float | None:
        groups = getattr(self._optimizer, "param_groups", None)
        return _number(groups[0].get("lr")) if isinstance(groups, list) and groups and isinstance(groups[0], dict) else None


def _number(value: Any) -> float | None:
    try:
        number = float(value.detach()) if isinstance(value, torch.Tensor) else float(value)
    except (TypeError, ValueError, RuntimeError):
        return None
    return number if math.isfinite(number) else None
