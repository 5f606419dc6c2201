"""What an untrusted process runs: answers the scorer's requests with the miner's code.

Nothing here is trusted by the scorer. The worker sees whole rows and trains; the auditor (a replica
without memory) only ever loads weights and sees prefixes. Both run this loop.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

import torch

from . import wire
from .interface import PrismBatch, PrismContext
from .project import HOOKS, Project, ProjectError, describe
from .shared import Layout, SharedMemory
from .training import Trainer, read_recipe

_SOCKET_FD, _MEMORY_FD = 3, 4


def main(order: dict, missing_layers: list[str], exposed: bool) -> int:
    """Serves requests until the scorer closes the socket."""
    sys.stdout = open(1, "w", buffering=1, closefd=False, errors="replace")  # a guest may be killed at any time
    sys.stderr = open(2, "w", buffering=1, closefd=False, errors="replace")
    sock = socket.socket(fileno=_SOCKET_FD)
    memory = SharedMemory(_MEMORY_FD, Layout(*order["layout"]))
    wire.send(sock, {"missing_layers": missing_layers, "exposed": exposed})
    guest = Guest(order, memory)
    while True:
        try:
            request = wire.receive(sock)
        except wire.WireError:
            return 0
        wire.send(sock, guest.answer(request))


class Guest:
    """The model under test and what is asked of it."""

    def __init__(self, order: dict, memory: SharedMemory):
        self._order, self._memory = order, memory
        self._folders: list[str] = []
        self._stage = "crash"

    def answer(self, request: dict) -> dict:
        """The reply to one request; whatever the project raises becomes an error reply."""
        self._stage = "crash"
        try:
            return getattr(self, f"_do_{request['op']}")(request)
        except ProjectError as error:
            return {"error": {"kind": error.kind, "message": str(error)}}
        except MemoryError as error:
            return {"error": {"kind": "oom", "message": describe(error, self._folders)}}
        except BaseException as error:  # SystemExit and KeyboardInterrupt included
            text = describe(error, self._folders)
            oom = isinstance(error, RuntimeError) and ("allocate memory" in text or "out of memory" in text)
            kind = "exit" if isinstance(error, SystemExit) else "oom" if oom else self._stage
            return {"error": {"kind": kind, "message": text}}

    def _do_open(self, request: dict) -> dict:
        """Imports the project, builds the model and, for a worker, the optimizer."""
        spec = request["spec"]
        self._stage = "import"
        self._folders = [part["dir"] for part in (spec["architecture"], spec["training"]) if part]
        self._project = Project(spec["architecture"], spec["training"])
        self._folders = self._project.folders
        self._context = PrismContext(**spec["context"])
        self._vocabulary = self._context.vocab_size
        self._stage = "build"
        torch.manual_seed(self._context.seed)
        self._model = self._project.required("build_model")(self._context)
        if not callable(self._model) or not hasattr(self._model, "state_dict") or not hasattr(self._model, "parameters"):
            raise ProjectError("contract", "`build_model` did not return a torch.nn.Module")
        recipe = None
        if spec["own_recipe"]:
            recipe = read_recipe(self._project.required("get_recipe")(self._context))
        elif spec["training"] is not None:
            self._project.required("get_recipe")
        self._routes()
        self._stage = "build"
        if self._order["role"] == "worker":
            chosen = recipe if recipe is not None else read_recipe(spec["evaluator_recipe"])
            torch.manual_seed(self._context.seed + 1)
            settings = {**spec["evaluator_recipe"], "own_recipe": spec["own_recipe"]}
            self._trainer = Trainer(self._project, self._model, self._context, chosen, settings, self._training_logits)
        return {
            "hooks": {name: self._project.function(name) is not None for name in HOOKS},
            "recipe": None if recipe is None else {"batch_size": recipe.batch_size},
        }

    def _routes(self) -> None:
        """Settles, with one row of zeros, who gives logits: inference_logits over infer over forward."""
        hook = self._project.function("inference_logits") or self._project.function("infer")
        if hasattr(self._model, "eval"):
            self._model.eval()
        row = torch.zeros(1, min(8, self._context.sequence_length), dtype=torch.long)
        self._stage = "crash"
        self._forward_serves = True
        if hook is None:
            self._infer = lambda batch: self._forward(batch)
        else:
            self._infer = lambda batch: self._checked(hook(self._model, batch, self._context), batch)
            try:
                with torch.no_grad():
                    self._forward(PrismBatch(tokens=row, metadata={}))
            except Exception:  # forward is not usable alone; the hook has to train as well
                self._forward_serves = False
        with torch.no_grad():
            self._infer(PrismBatch(tokens=row, metadata={}))

    def _training_logits(self, batch: PrismBatch) -> torch.Tensor:
        logits = self._forward(batch) if self._forward_serves else self._infer(batch)
        if not logits.requires_grad:
            raise ProjectError("contract", "the logits carry no gradient: forward must return logits to train on")
        return logits

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

    def _do_predict(self, request: dict) -> dict:
        rows, length = request["rows"], request["length"]
        tokens = self._memory.tokens(rows * length).clone().reshape(rows, length).long()
        if hasattr(self._model, "eval"):
            self._model.eval()
        with torch.no_grad():
            logits = self._infer(PrismBatch(tokens=tokens, targets=None, metadata={}))
        self._memory.logits(logits.numel()).copy_(logits.detach().reshape(-1))
        return {"shape": list(logits.shape)}

    def _do_step(self, request: dict) -> dict:
        rows, length = request["rows"], request["length"]
        size = rows * (length + 1)
        numbers = self._memory.tokens(size + (rows * length if request["targets"] else 0)).clone().long()
        tokens = numbers[:size].reshape(rows, length + 1)
        targets = numbers[size:].reshape(rows, length) if request["targets"] else tokens[:, 1:].contiguous()
        return self._trainer.step(tokens[:, :-1].contiguous(), targets)

    def _do_state(self, request: dict) -> dict:
        """Writes the raw weights to shared memory."""
        trained = {name for name, _ in self._model.named_parameters()}
        entries, at = [], 0
        for name, tensor in self._model.state_dict().items():
            if not isinstance(tensor, torch.Tensor):
                raise ProjectError("contract", f"`{name}` in state_dict is not a tensor")
            raw = tensor.detach().cpu().contiguous()
            size = raw.numel() * raw.element_size()
            if at + size > request["bytes_max"]:
                raise ProjectError("contract", f"the weights take more than {request['bytes_max']} bytes")
            if size:
                self._memory.state(at, size).copy_(raw.reshape(-1).view(torch.uint8))
            entries.append([name, str(raw.dtype).replace("torch.", ""), list(raw.shape), name in trained])
            at += size
        return {"tensors": entries, "bytes": at}

    def _do_load(self, request: dict) -> dict:
        """Takes raw weights from shared memory; the layout must be this model's own."""
        own = self._model.state_dict()
        expected = [[name, str(t.dtype).replace("torch.", ""), list(t.shape)] for name, t in own.items()]
        if [entry[:3] for entry in request["tensors"]] != expected:
            raise ProjectError("contract", "two builds of the model have different state_dict layouts")
        raw, at = self._memory.read_state(request["bytes"]), 0
        with torch.no_grad():
            for tensor in own.values():
                count = tensor.numel()
                if count:
                    part = bytearray(raw[at : at + count * tensor.element_size()])
                    tensor.copy_(torch.frombuffer(part, dtype=tensor.dtype).reshape(tensor.shape))
                at += count * tensor.element_size()
        return {"loaded": at}

