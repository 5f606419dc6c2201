"""Shared memory between the scorer and one guest: sealed, so that a guest cannot shrink it under
the scorer's feet. Each guest has its own; what one wrote, another never sees.

Layout: tokens (int32), targets (int32, where they are not simply the tokens that follow), logits
(float32), and the raw weight snapshot.
"""

from __future__ import annotations

import fcntl
import mmap
import os

import torch

_F_ADD_SEALS = 1033
_SEAL_SEAL, _SEAL_SHRINK, _SEAL_GROW = 1, 2, 4


class Layout:
    """Sizes in bytes of the four parts, each rounded up to a page."""

    def __init__(self, tokens_max: int, logits_max: int, state_bytes_max: int):
        self._asked = [tokens_max, logits_max, state_bytes_max]
        self.tokens_bytes = _pages(tokens_max * 4)
        self.logits_bytes = _pages(logits_max * 4)
        self.state_bytes = _pages(state_bytes_max)
        self.targets_at = self.tokens_bytes
        self.logits_at = 2 * self.tokens_bytes
        self.state_at = self.logits_at + self.logits_bytes
        self.total_bytes = self.state_at + self.state_bytes

    @classmethod
    def for_plan(cls, plan: dict) -> "Layout":
        """Room for the largest batch that anything in the plan asks about."""
        rows, length = plan["batch_seqs"], plan["seq_len"]
        batch_max = plan["own_recipe"]["batch_max"]
        shapes = [(rows, length), (batch_max, length)]
        shapes += [(plan["val"][name], length) for name in ("chunk_rows", "strict_rows")] + [(plan["checks"]["rows"], length)]
        shapes += [(plan[name]["rows"], length) for name in ("inspect", "incremental", "precision") if plan.get(name)]
        for probe in plan.get("probes", ()):
            shapes.append((probe.get("batch_seqs", rows) * probe.get("batch", 1), length * probe.get("length", 1)))
        if plan.get("recall"):
            shapes.append((plan["recall"]["batch_seqs"], plan["recall"]["length"]))
        positions = max(rows * length for rows, length in shapes)
        shapes.append((4 * max(rows, batch_max), length))  # the noise scale's large batch, which is asked no logits
        return cls(max(rows * (length + 1) for rows, length in shapes), positions * plan["vocab_size"], plan["state_bytes_max"])

    def as_json(self) -> list[int]:
        return self._asked


def create(layout: Layout) -> int:
    """A new sealed descriptor. Pages that are never touched cost nothing."""
    fd = os.memfd_create("prism", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    os.ftruncate(fd, layout.total_bytes)
    fcntl.fcntl(fd, _F_ADD_SEALS, _SEAL_SHRINK | _SEAL_GROW | _SEAL_SEAL)
    return fd


class SharedMemory:
    """Typed views of a mapped descriptor."""

    def __init__(self, fd: int, layout: Layout):
        self.layout = layout
        self._map = mmap.mmap(fd, layout.total_bytes)

    def tokens(self, count: int) -> torch.Tensor:
        return self._view(torch.int32, 0, count, self.layout.tokens_bytes)

    def targets(self, count: int) -> torch.Tensor:
        return self._view(torch.int32, self.layout.targets_at, count, self.layout.tokens_bytes)

    def logits(self, count: int) -> torch.Tensor:
        return self._view(torch.float32, self.layout.logits_at, count, self.layout.logits_bytes)

    def state(self, at: int, count: int) -> torch.Tensor:
        """A view of part of the snapshot, as bytes."""
        if at < 0 or count <= 0 or at + count > self.layout.state_bytes:
            raise ValueError("the state does not fit")
        return torch.frombuffer(self._map, dtype=torch.uint8, count=count, offset=self.layout.state_at + at)

    def read_state(self, count: int) -> bytes:
        """A private copy of the first `count` bytes of the snapshot."""
        if not 0 <= count <= self.layout.state_bytes:
            raise ValueError("the state does not fit")
        return self._map[self.layout.state_at : self.layout.state_at + count]

    def close(self) -> None:
        try:
            self._map.close()
        except BufferError:
            pass  # a tensor still views it; the mapping goes with the tensor

    def _view(self, dtype: torch.dtype, at: int, count: int, limit_bytes: int) -> torch.Tensor:
        if count <= 0 or count * 4 > limit_bytes:
            raise ValueError("the array does not fit")
        return torch.frombuffer(self._map, dtype=dtype, count=count, offset=at)


def _pages(size: int) -> int:
    return max(1, -(-size // mmap.PAGESIZE)) * mmap.PAGESIZE
