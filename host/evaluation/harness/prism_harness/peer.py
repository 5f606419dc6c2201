"""The scorer's end of one guest: requests with a deadline, answers checked, faults named."""

from __future__ import annotations

import math
import os
import socket
import time
from dataclasses import dataclass, field

import torch

from . import faults, inspected, shared, wire
from .drain import LogDrain
from .faults import Fault
from .launcher import Launcher

_ERROR_CODES = {"import": faults.IMPORT, "build": faults.BUILD, "contract": faults.CONTRACT,
                "crash": faults.CRASH, "oom": faults.OOM, "exit": faults.EXIT}
_WIRE_CODES = {"oversized": faults.OVERSIZED, "truncated": faults.TRUNCATED, "invalid": faults.INVALID}
DTYPE_BYTES = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2, "int64": 8, "int32": 4, "int16": 2,
                "int8": 1, "uint8": 1, "bool": 1}
_TENSORS_MAX = 20_000
_EXIT_GRACE_S = 0.5


@dataclass
class Bench:
    """What all guests of an evaluation share, on the scorer's side."""

    launcher: Launcher
    drain: LogDrain
    layout: shared.Layout
    plan: dict
    memory_bytes: int
    deadline: float  # time.monotonic() at which the evaluation has to end
    uids: dict  # role -> user id, or None where all share one user
    readable: list[str]
    forbidden: list[str]
    processes: int
    device: str = "cpu"  # where guests compute; scorer and launcher never touch a GPU
    layers_missing: set = field(default_factory=set)
    cpu_s: dict = field(default_factory=dict)
    rss_bytes: dict = field(default_factory=dict)

    def left_s(self) -> float:
        return self.deadline - time.monotonic()


@dataclass(frozen=True)
class Snapshot:
    """Raw weights as a guest handed them over: name, type, shape and whether declared a parameter."""

    tensors: list
    raw: bytes


class Peer:
    """One guest. `owner` is candidate or reference: it decides whose fault a failure is."""

    def __init__(self, bench: Bench, role: str, owner: str, folders: list[str]):
        self._bench, self._owner = bench, owner
        self.keeps_state = False
        self.pid: int | None = None
        self._started = time.monotonic()
        ours, theirs = socket.socketpair()
        memory_fd = shared.create(bench.layout)
        self._memory = shared.SharedMemory(memory_fd, bench.layout)
        out, out_thread = bench.drain.follow("stdout")
        err, err_thread = bench.drain.follow("stderr")
        self._sock, self._threads = ours, (out_thread, err_thread)
        order = {
            "role": role,
            "uid": bench.uids[role],
            "layout": bench.layout.as_json(),
            "readable": bench.readable + folders,
            "forbidden": bench.forbidden,
            "memory_bytes": bench.memory_bytes,
            "cpu_s": int(max(1.0, bench.left_s()) * 2) + 10,
            "processes": bench.processes,
            "device": bench.device,
        }
        try:
            self.pid = bench.launcher.spawn(order, [theirs.fileno(), memory_fd, out, err])
        finally:
            theirs.close()
            for fd in (memory_fd, out, err):
                os.close(fd)
        self._greet()

    @property
    def plan(self) -> dict:
        return self._bench.plan

    def open(self, spec: dict) -> dict:
        """Builds the project's model; on which device and in which precision is the plan's matter, not the run's."""
        context = {**spec["context"], "device": self._bench.device}
        spec = {**spec, "context": context, "training_precision": self.plan.get("training_precision", "fp32")}
        opened = self._ask({"op": "open", "spec": spec}, self._bench.plan["open_ms"])
        self.keeps_state = opened.get("keeps_state") is True
        return opened

    def predict(self, tokens: torch.Tensor, vocab_size: int, precision: str | None = None, then_step: bool = False) -> torch.Tensor | None:
        """Commits logits for `tokens` (B, T): a private copy, taken before anything is checked. With
        precision `bf16` by a copy of the model in bfloat16, or None when it cannot run so. With
        `then_step` the worker may keep what a step on these tokens will need."""
        logits = self._logits({"op": "predict", "precision": precision, "then_step": then_step}, tokens, vocab_size)
        if logits is None and precision is None:
            self._fail(faults.CONTRACT, "the model answered no logits")
        return logits

    def incremental(self, tokens: torch.Tensor, vocab_size: int) -> torch.Tensor | None:
        """Logits (B, T, V) that the inference hook gave token by token; None when there is no hook."""
        return self._logits({"op": "incremental"}, tokens, vocab_size)

    def inspect(self, rows: torch.Tensor) -> dict:
        """What one pass over `rows` (B, T + 1) shows of the model's inside, as the guest tells it. The guest
        learns the targets: these must be rows that it has been told already, or is never scored on."""
        self._memory.tokens(rows.numel()).copy_(rows.reshape(-1))
        reply = self._ask({"op": "inspect", "rows": rows.shape[0], "length": rows.shape[1] - 1})
        try:
            layers = inspected.layer_rows(reply.get("layers"))
        except ValueError as error:
            self._fail(faults.CONTRACT, f"in answer to `inspect`: {error}")
        norm = _finite(reply.get("grad_norm"))
        return {"layers": layers, "grad_norm": norm if norm is not None and norm >= 0.0 else None}

    def export(self, rows: int, length: int) -> dict | None:
        """The model as a graph for `replay`, unchecked; None when it cannot be exported."""
        graph = self._ask({"op": "export", "rows": rows, "length": length}, self._bench.plan["open_ms"]).get("graph")
        return graph if isinstance(graph, dict) else None

    def replay(self, graph: dict, weights: Snapshot, tokens: torch.Tensor, vocab_size: int) -> tuple[torch.Tensor, int]:
        """Logits of a graph on raw weights, and the operations that they took. Only of a guest that was never
        opened is the answer trusted."""
        self._write_state(weights)
        request = {"op": "replay", "graph": graph, "tensors": weights.tensors, "bytes": len(weights.raw)}
        reply, logits = self._committed(request, tokens, vocab_size)
        operations = reply.get("operations")
        if logits is None or not isinstance(operations, int) or not 0 <= operations < 1 << 62:
            self._fail(faults.CONTRACT, "a graph was run and gave nothing")
        return logits, operations

    def step(self, rows: torch.Tensor, targets: torch.Tensor | None = None) -> dict:
        """Reveals the targets: `rows` (B, T + 1) are the tokens and what follows each. With `targets`
        (B, T) given, those are revealed instead; one of -100 is not asked for."""
        self._memory.tokens(rows.numel()).copy_(rows.reshape(-1))
        request = {"op": "step", "rows": rows.shape[0], "length": rows.shape[1] - 1}
        if targets is not None:
            tokens = rows[:, : targets.shape[1]]
            self._memory.tokens(tokens.numel()).copy_(tokens.reshape(-1))
            self._memory.targets(targets.numel()).copy_(targets.reshape(-1))
            request.update(length=targets.shape[1], targets=True)
        reply = self._ask(request)
        return {name: _finite(reply.get(name)) for name in ("loss", "grad_norm", "lr")}

    def _logits(self, request: dict, tokens: torch.Tensor, vocab_size: int) -> torch.Tensor | None:
        return self._committed(request, tokens, vocab_size)[1]

    def _committed(self, request: dict, tokens: torch.Tensor, vocab_size: int) -> tuple[dict, torch.Tensor | None]:
        """The reply, and the logits that were handed over; none where the guest cannot give them."""
        rows, length = tokens.shape
        self._memory.tokens(tokens.numel()).copy_(tokens.reshape(-1))
        reply = self._ask({**request, "rows": rows, "length": length})
        if reply.get("unsupported") is True:
            return reply, None
        logits = self._memory.logits(rows * length * vocab_size).clone().reshape(rows, length, vocab_size)
        if reply.get("shape") != [rows, length, vocab_size]:
            self._fail(faults.CONTRACT, f"the logits have the shape {str(reply.get('shape'))[:100]}, expected {[rows, length, vocab_size]}")
        return reply, logits

    def state(self) -> Snapshot:
        reply = self._ask({"op": "state", "bytes_max": self._bench.plan["state_bytes_max"]})
        size = self._checked_tensors(reply)
        return Snapshot(reply["tensors"], self._memory.read_state(size))

    def load(self, snapshot: Snapshot) -> None:
        self._write_state(snapshot)
        self._ask({"op": "load", "tensors": snapshot.tensors, "bytes": len(snapshot.raw)})

    def _write_state(self, snapshot: Snapshot) -> None:
        self._memory.state(0, len(snapshot.raw)).copy_(torch.frombuffer(bytearray(snapshot.raw), dtype=torch.uint8))

    def cpu_s(self) -> float:
        """CPU time that the guest has used, read from the kernel."""
        return self._schedule_s(0)

    def end(self, grace_s: float = 0.0) -> dict:
        """Ends the guest and everything it started; adds up what it used."""
        if self.pid is None:
            return {}
        self._sock.close()
        usage, self.pid = self._bench.launcher.reap(self.pid, grace_s), None
        self._memory.close()
        for thread in self._threads:
            thread.join(timeout=2.0)
        owner = self._owner
        self._bench.cpu_s[owner] = self._bench.cpu_s.get(owner, 0.0) + usage["cpu_s"]
        self._bench.rss_bytes[owner] = max(self._bench.rss_bytes.get(owner, 0), usage["rss_bytes"])
        return usage

    def _greet(self) -> None:
        try:
            hello = wire.receive(self._sock, 20.0)
        except wire.WireError as error:
            self.end(_EXIT_GRACE_S)
            raise Fault(faults.ISOLATION, f"a guest did not start: {error}") from None
        self._bench.layers_missing.update(hello["missing_layers"])
        if hello["exposed"]:
            self.end()
            raise Fault(faults.ISOLATION, "a guest could read the job or the corpus")

    def _ask(self, request: dict, timeout_ms: int | None = None) -> dict:
        timeout_s = min((timeout_ms or self._bench.plan["request_ms"]) / 1000.0, self._bench.left_s())
        try:
            if timeout_s <= 0:
                raise wire.WireError("timeout", "the evaluation's time is used up")
            wire.send(self._sock, request, timeout_s)
            reply = wire.receive(self._sock, timeout_s)
        except wire.WireError as error:
            self._broken(error, request["op"])
        if "error" in reply:
            error = reply["error"] if isinstance(reply["error"], dict) else {}
            self._fail(_ERROR_CODES.get(error.get("kind"), faults.CRASH), str(error.get("message")))
        return reply

    def _broken(self, error: wire.WireError, op: str) -> None:
        """Names the fault behind a connection that does not work any more."""
        if error.kind == "timeout":
            self._late(op)
        if error.kind in _WIRE_CODES:
            self._fail(_WIRE_CODES[error.kind], f"in answer to `{op}`: {error}")
        usage = self.end(_EXIT_GRACE_S)
        if not usage.get("own_end") or usage["exit"] == 0:
            self._fail(faults.EXIT, f"the process left without an answer to `{op}`")
        if usage["signal"] == 9:
            self._fail(faults.OOM, f"the process was killed during `{op}`, most likely for want of memory")
        how = f"signal {usage['signal']}" if usage["signal"] else f"status {usage['exit']}"
        self._fail(faults.CRASH, f"the process ended with {how} during `{op}`")

    def _late(self, op: str) -> None:
        """A guest that mostly waited for a processor is not to blame for being late."""
        if self._schedule_s(1) > 0.5 * (time.monotonic() - self._started):
            self.end()
            raise Fault(faults.OVERLOAD, f"no answer to `{op}` in time, because the machine is overloaded")
        candidate_ms = self._bench.cpu_s.get("candidate", 0.0) * 1000.0
        if self._owner == "reference" and self._bench.left_s() <= 0 and candidate_ms > self._bench.plan["budget_ms"]:
            self.end()
            raise Fault(faults.TIMEOUT, "the submission used up the evaluation's time")
        self._fail(faults.TIMEOUT, f"no answer to `{op}` in time")

    def _fail(self, code: str, message: str) -> None:
        self.end()
        if self._owner == "reference":
            raise Fault(faults.REFERENCE, f"{code}: {message}")
        raise Fault(code, message)

    def _checked_tensors(self, reply: dict) -> int:
        """The snapshot's size in bytes, when its header is sound and adds up."""
        tensors, total = reply.get("tensors"), 0
        if not isinstance(tensors, list) or not 0 < len(tensors) <= _TENSORS_MAX:
            self._fail(faults.CONTRACT, "the snapshot lists no tensors, or too many")
        for entry in tensors:
            if not _sound_entry(entry):
                self._fail(faults.CONTRACT, "the snapshot's header is malformed")
            total += math.prod(entry[2]) * DTYPE_BYTES[entry[1]]
        if reply.get("bytes") != total or not 0 < total <= self._bench.plan["state_bytes_max"]:
            self._fail(faults.CONTRACT, f"the weights take {total} bytes, allowed are {self._bench.plan['state_bytes_max']}")
        return total

    def _schedule_s(self, field: int) -> float:
        """Seconds over all threads from the kernel's scheduler: 0 on a processor, 1 waiting for one."""
        try:
            total = 0
            for task in os.listdir(f"/proc/{self.pid}/task"):
                with open(f"/proc/{self.pid}/task/{task}/schedstat", encoding="ascii") as stat:
                    total += int(stat.read().split()[field])
            return total / 1e9
        except (OSError, ValueError, IndexError):
            return self._coarse_cpu_s() if field == 0 else 0.0

    def _coarse_cpu_s(self) -> float:
        """CPU time in clock ticks, where the kernel keeps no scheduler statistics."""
        try:
            with open(f"/proc/{self.pid}/stat", "rb") as stat:
                fields = stat.read().rsplit(b")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError, IndexError):
            return 0.0


def _sound_entry(entry) -> bool:
    return (
        isinstance(entry, list)
        and len(entry) == 4
        and isinstance(entry[0], str)
        and isinstance(entry[1], str)
        and entry[1] in DTYPE_BYTES
        and isinstance(entry[2], list)
        and len(entry[2]) <= 16
        and all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 1 << 40 for n in entry[2])
        and isinstance(entry[3], bool)
    )


def _finite(value) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None
