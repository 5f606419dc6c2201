"""Reads what guests print, on threads of its own, so that a flood can neither block a guest nor fill
the scorer's memory. What is printed is a log line and nothing more: it is never parsed for results."""

from __future__ import annotations

import os
import threading

from .faults import safe_text

METRICS_MARK = b"PRISM_METRICS_JSON"


class LogDrain:
    """The bounded tails of two streams over all guests of an evaluation."""

    def __init__(self, limit_bytes: int):
        self._limit = max(1024, limit_bytes // 2)
        self._tails = {"stdout": bytearray(), "stderr": bytearray()}
        self._seen = {"stdout": 0, "stderr": 0}
        self._lock = threading.Lock()
        self.metrics_lines = 0

    def follow(self, stream: str) -> tuple[int, threading.Thread]:
        """A write end for a guest, and the thread that empties the pipe until every holder is gone."""
        read_end, write_end = os.pipe()
        thread = threading.Thread(target=self._run, args=(stream, read_end), daemon=True)
        thread.start()
        return write_end, thread

    def text(self, stream: str) -> str:
        with self._lock:
            return safe_text(bytes(self._tails[stream]).decode("utf-8", "replace"), self._limit)

    @property
    def dropped_bytes(self) -> int:
        with self._lock:
            return sum(self._seen[name] - len(tail) for name, tail in self._tails.items())

    def _run(self, stream: str, fd: int) -> None:
        carry = b""
        while True:
            part = os.read(fd, 1 << 16)
            if not part:
                break
            window = carry + part
            found = window.count(METRICS_MARK)
            carry = window[-(len(METRICS_MARK) - 1) :]
            with self._lock:
                self.metrics_lines += found
                self._seen[stream] += len(part)
                tail = self._tails[stream]
                tail += part
                del tail[: max(0, len(tail) - self._limit)]
        os.close(fd)
