"""Who gives logits in a guest: `inference_logits` over `infer` over `forward`, and the three ways in
which they are asked: whole rows, token by token, and in a lower precision."""

from __future__ import annotations

import copy
import inspect
from typing import Any, Callable

import torch

from . import export_model, one_pass
from .interface import PrismBatch, PrismContext
from .project import ARCHITECTURE_HOOKS, Project, ProjectError

STATE = "state"  # a hook with a parameter of this name reads one token at a time


class Logits:
    """The model and its inference hook behind one checked interface."""

    def __init__(self, project: Project, model: Any, context: PrismContext):
        self._model, self._context, self._vocabulary = model, context, context.vocab_size
        self._hook = next((found for found in map(project.function, ARCHITECTURE_HOOKS) if found is not None), None)
        self.keeps_state = self._hook is not None and _takes_state(self._hook)
        self._forward_serves = True
        self._lowered: Any = None
        self._one_pass = False
        self._kept: tuple[torch.Tensor, torch.Tensor] | None = None

    @property
    def has_hook(self) -> bool:
        return self._hook is not None

    def settle(self, device: torch.device) -> None:
        """Settles, with one row of zeros, whether `forward` can be trained on or only the hook can."""
        self._evaluate(self._model)
        row = torch.zeros(1, min(8, self._context.sequence_length), dtype=torch.long, device=device)
        batch = PrismBatch(tokens=row, metadata={})
        with torch.no_grad():
            if self._hook is not None:
                try:
                    self._forward(batch)
                except Exception:  # forward is not usable alone; the hook has to train as well
                    self._forward_serves = False
            self._infer(self._model, batch)

    def settle_one_pass(self, device: torch.device) -> None:
        """Settles whether the pass that commits logits can also be the one that is trained on. It can when
        the model gives the same in both modes, draws no random number and changes neither weights nor buffers."""
        row = torch.zeros(1, min(8, self._context.sequence_length), dtype=torch.long, device=device)
        try:
            self._one_pass = self._hook is None and one_pass.serves(self._model, lambda: self._checked(
                self._model(row), PrismBatch(tokens=row, metadata={})))
        except Exception:  # then it is asked twice, and says itself what is wrong
            self._one_pass = False

    def weights_changed(self) -> None:
        self._lowered = self._kept = None

    def to_be_trained_on(self, tokens: torch.Tensor) -> torch.Tensor:
        """As `whole`, and what a step on the same tokens needs is kept where that serves."""
        if not self._one_pass:
            return self.whole(tokens)
        self._evaluate(self._model)
        logits = self._infer(self._model, PrismBatch(tokens=tokens, targets=None, metadata={}))
        self._kept = (tokens, logits)
        return logits.detach()

    def kept(self, tokens: torch.Tensor) -> torch.Tensor | None:
        """Logits with their graph from `to_be_trained_on` of these very tokens; given out once."""
        kept, self._kept = self._kept, None
        return kept[1] if kept is not None and torch.equal(kept[0], tokens) else None

    def whole(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits (B, T, V) for tokens (B, T), in evaluation mode and without gradients."""
        self._evaluate(self._model)
        with torch.no_grad():
            return self._infer(self._model, PrismBatch(tokens=tokens, targets=None, metadata={}))

    def exported(self, tokens: torch.Tensor) -> dict | None:
        """The same as a graph, or None. A copy of the model is traced: tracing may leave marks in it."""
        model = copy.deepcopy(self._model)
        self._evaluate(model)
        return export_model.export(model, lambda given: self._infer(model, PrismBatch(tokens=given, targets=None, metadata={})), tokens)

    def lowered(self, tokens: torch.Tensor) -> torch.Tensor | None:
        """The same from a copy of the model in bfloat16; None when it cannot run so. Operations between
        the copy's bfloat16 and a float32 that the model makes itself are cast, as in mixed training."""
        try:
            if self._lowered is None:
                self._lowered = copy.deepcopy(self._model).to(torch.bfloat16)
            self._evaluate(self._lowered)
            with torch.no_grad(), torch.autocast(tokens.device.type, dtype=torch.bfloat16):
                return self._infer(self._lowered, PrismBatch(tokens=tokens, targets=None, metadata={}))
        except Exception:  # whatever it is, the model does what it must in float32
            return None

    def incremental(self, tokens: torch.Tensor) -> torch.Tensor | None:
        """Logits (B, T, V) token by token through the hook; None when the project has none."""
        if self._hook is None:
            return None
        self._evaluate(self._model)
        parts, state = [], None
        with torch.no_grad():
            for at in range(tokens.shape[1]):
                if self.keeps_state:
                    part, state = self._next(tokens[:, at : at + 1], state)
                else:
                    batch = PrismBatch(tokens=tokens[:, : at + 1].contiguous(), targets=None, metadata={})
                    part = self._infer(self._model, batch)[:, -1:]
                parts.append(part.float())
        return torch.cat(parts, dim=1)

    def training(self, batch: PrismBatch) -> torch.Tensor:
        logits = self._forward(batch) if self._forward_serves else self._infer(self._model, batch)
        if not logits.requires_grad:
            raise ProjectError("contract", "the logits carry no gradient: forward must return logits to train on")
        return logits

    def _next(self, tokens: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        batch = PrismBatch(tokens=tokens.contiguous(), targets=None, metadata={})
        returned = self._hook(self._model, batch, self._context, state=state)
        if not isinstance(returned, (tuple, list)) or len(returned) != 2:
            raise ProjectError("contract", "a hook with a parameter `state` has to return (logits, state)")
        return self._checked(returned[0], batch), returned[1]

    def _infer(self, model: Any, batch: PrismBatch) -> torch.Tensor:
        if self._hook is None:
            return self._checked(model(batch.tokens), batch)
        return self._checked(self._hook(model, batch, self._context), batch)

    def _forward(self, batch: PrismBatch) -> torch.Tensor:
        return self._checked(self._model(batch.tokens), batch)

    def _checked(self, returned: Any, batch: PrismBatch) -> torch.Tensor:
        """The logits in what a model returned: a tensor, the first of a tuple, or `logits` of a dict or object."""
        if isinstance(returned, (tuple, list)) and returned:
            returned = returned[0]
        elif isinstance(returned, dict):
            returned = returned.get("logits")
        elif not isinstance(returned, torch.Tensor):
            returned = getattr(returned, "logits", None)
        if not isinstance(returned, torch.Tensor):
            raise ProjectError("contract", "the model returned no logits tensor")
        expected = (*batch.tokens.shape, self._vocabulary)
        if tuple(returned.shape) != expected:
            raise ProjectError("contract", f"the logits have the shape {tuple(returned.shape)}, expected {expected}")
        if not returned.is_floating_point():
            raise ProjectError("contract", f"the logits are of type {returned.dtype}")
        return returned

    @staticmethod
    def _evaluate(model: Any) -> None:
        if hasattr(model, "eval"):
            model.eval()


def _takes_state(hook: Callable[..., Any]) -> bool:
    try:
        return STATE in inspect.signature(hook).parameters
    except (TypeError, ValueError):
        return False
