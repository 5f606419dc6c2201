"""What the scorer tells the host: JSON lines on a descriptor that nobody else holds."""

from __future__ import annotations

import json
import os

from .faults import Fault

LINE_BYTES_MAX = 5 * 1024 * 1024
LOG_FRAME_BYTES_MAX = 64 * 1024


class FrameWriter:
    """Takes standard output for itself: whatever else prints afterwards lands on standard error."""

    def __init__(self) -> None:
        self._fd = os.dup(1)  # not inheritable
        os.dup2(2, 1)

    @property
    def fd(self) -> int:
        return self._fd

    def progress(self, probe: str, run_id: str, step: int, steps: int, loss_nats: float | None, done: float, eta_ms: int) -> None:
        self._write(
            {"frame": "progress", "probe": probe, "run_id": run_id, "step": step, "steps": steps,
             "loss_nats": loss_nats, "done": round(done, 4), "eta_ms": max(0, int(eta_ms))}
        )

    def log(self, stream: str, text: str) -> None:
        self._write({"frame": "log", "stream": stream, "text": text})

    def telemetry(self, telemetry: dict) -> None:
        self._write({"frame": "telemetry", "telemetry": telemetry})

    def fault(self, fault: Fault) -> None:
        self._write({"frame": "fault", "blame": fault.blame, "code": fault.code, "message": fault.message})

    def _write(self, frame: dict) -> None:
        line = json.dumps(frame, allow_nan=False, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
        if len(line) > LINE_BYTES_MAX:
            raise ValueError(f"a frame of {len(line)} bytes is over the limit")
        view = memoryview(line)
        while view:
            view = view[os.write(self._fd, view):]
