"""What an untrusted process runs: answers the scorer's requests with the miner's code.

Nothing here is trusted by the scorer. The worker sees whole rows and trains; the auditor (a replica
without memory) only ever loads weights and sees prefixes. Both run this loop.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

import torch

from . import inspect_model, replay, wire
from .interface import PrismBatch, PrismContext
from .logits import Logits
from .project import HOOKS, Project, ProjectError, describe
from .shared import Layout, SharedMemory
from .training import Trainer, cross_entropy, precision_context, read_recipe

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
        self._device = torch.device(self._context.device)
        self._stage = "build"
        torch.manual_seed(self._context.seed)
        self._model = self._built(self._project.required("build_model")(self._context))
        recipe = None
        if spec["own_recipe"]:
            recipe = read_recipe(self._project.required("get_recipe")(self._context))
        elif spec["training"] is not None:
            self._project.required("get_recipe")
        self._logits = Logits(self._project, self._model, self._context)
        self._stage = "crash"
        self._logits.settle(self._device)
        self._precision = precision_context(self._device, spec.get("training_precision"))
        self._stage = "build"
        if self._order["role"] == "worker":
            chosen = recipe if recipe is not None else read_recipe(spec["evaluator_recipe"])
            torch.manual_seed(self._context.seed + 1)
            settings = {**spec["evaluator_recipe"], "own_recipe": spec["own_recipe"]}
            self._trainer = Trainer(self._project, self._model, self._context, chosen, settings, self._logits.training, self._precision)
            if self._trainer.plain_loss:
                self._logits.settle_one_pass(self._device)
        return {
            "hooks": {name: self._project.function(name) is not None for name in HOOKS},
            "keeps_state": self._logits.keeps_state,
            "recipe": None if recipe is None else {"batch_size": recipe.batch_size},
        }

    def _built(self, model: Any) -> Any:
        """The model that the project built, on the evaluation's device."""
        if not callable(model) or not hasattr(model, "state_dict") or not hasattr(model, "parameters"):
            raise ProjectError("contract", "`build_model` did not return a torch.nn.Module")
        if self._device.type != "cpu" and any(tensor.device.type != self._device.type for tensor in model.state_dict().values()):
            return model.to(self._device)
        return model

    def _tokens(self, rows: int, length: int) -> torch.Tensor:
        return self._memory.tokens(rows * length).clone().reshape(rows, length).long().to(self._device)

    def _handed_over(self, logits: torch.Tensor | None) -> dict:
        """Logits go through shared memory in float32, whatever the model computed in."""
        if logits is None:
            return {"unsupported": True}
        self._memory.logits(logits.numel()).copy_(logits.detach().float().reshape(-1))
        return {"shape": list(logits.shape)}

    def _do_predict(self, request: dict) -> dict:
        tokens = self._tokens(request["rows"], request["length"])
        if request.get("precision") == "bf16":
            return self._handed_over(self._logits.lowered(tokens))
        return self._handed_over(self._logits.to_be_trained_on(tokens) if request.get("then_step") else self._logits.whole(tokens))

    def _do_incremental(self, request: dict) -> dict:
        return self._handed_over(self._logits.incremental(self._tokens(request["rows"], request["length"])))

    def _do_export(self, request: dict) -> dict:
        """The model as a graph for tokens of the given shape; which tokens, nobody told this process."""
        graph = self._logits.exported(torch.zeros(request["rows"], request["length"], dtype=torch.long, device=self._device))
        return {"unsupported": True} if graph is None else {"graph": graph}

    def _do_replay(self, request: dict) -> dict:
        """Runs a graph on raw weights. Asked only of a guest into which no project was loaded."""
        weights, at = {}, 0
        raw = self._memory.read_state(request["bytes"])
        for name, dtype, shape, _ in request["tensors"]:
            tensor = torch.empty(shape, dtype=getattr(torch, dtype))
            size = tensor.numel() * tensor.element_size()
            if size:
                tensor = torch.frombuffer(bytearray(raw[at : at + size]), dtype=tensor.dtype).reshape(shape)
            weights[name], at = tensor, at + size
        tokens = self._memory.tokens(request["rows"] * request["length"]).clone().reshape(request["rows"], request["length"]).long()
        logits, operations = replay.run(request["graph"], weights, tokens)
        return {**self._handed_over(logits), "operations": operations}

    def _do_inspect(self, request: dict) -> dict:
        """Looks inside at the present weights, in train mode as a step would run, without taking one."""
        rows = self._tokens(request["rows"], request["length"] + 1)
        batch = PrismBatch(tokens=rows[:, :-1].contiguous(), targets=rows[:, 1:].contiguous(), metadata={})

        def loss_of() -> tuple[torch.Tensor, torch.Tensor]:
            with self._precision():
                logits = self._logits.training(batch)
            return cross_entropy(logits, batch.targets), logits

        return inspect_model.inspect(self._model, batch.tokens, self._context.vocab_size, loss_of)

    def _do_step(self, request: dict) -> dict:
        rows, length = request["rows"], request["length"]
        if request.get("targets"):
            tokens = self._tokens(rows, length)
            targets = self._memory.targets(rows * length).clone().reshape(rows, length).long().to(self._device)
        else:
            both = self._tokens(rows, length + 1)
            tokens, targets = both[:, :-1].contiguous(), both[:, 1:].contiguous()
        logits = self._logits.kept(tokens)
        self._logits.weights_changed()
        return self._trainer.step(tokens, targets, logits)

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
        self._logits.weights_changed()
        raw, at = self._memory.read_state(request["bytes"]), 0
        with torch.no_grad():
            for tensor in own.values():
                count = tensor.numel()
                if count:
                    part = bytearray(raw[at : at + count * tensor.element_size()])
                    tensor.copy_(torch.frombuffer(part, dtype=tensor.dtype).reshape(tensor.shape))
                at += count * tensor.element_size()
        return {"loaded": at}

