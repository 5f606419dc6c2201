"""Weights, counted and compared by the scorer from raw bytes."""

from __future__ import annotations

import hashlib
import math

import torch

from .peer import DTYPE_BYTES, Snapshot

_SHARED_ELEMENTS_MIN = 1024


def tensors(snapshot: Snapshot) -> list[tuple[str, bool, torch.Tensor, bytes]]:
    """Name, declared as parameter, values, raw bytes of each entry."""
    found, at = [], 0
    for name, dtype, shape, declared in snapshot.tensors:
        size = math.prod(shape) * DTYPE_BYTES[dtype]
        raw = snapshot.raw[at : at + size]
        values = torch.frombuffer(bytearray(raw), dtype=getattr(torch, dtype)) if size else torch.zeros(0)
        found.append((name, declared, values, raw))
        at += size
    return found


def count_parameters(first: Snapshot, last: Snapshot) -> int:
    """Numbers that are trained: declared parameters and whatever else changed during the run.
    A tensor that holds the very bytes of another is tied to it and counts once."""
    before = {name: raw for name, _, _, raw in tensors(first)}
    total, seen = 0, set()
    for name, declared, values, raw in tensors(last):
        if not declared and before.get(name) == raw:
            continue
        if values.numel() >= _SHARED_ELEMENTS_MIN:
            digest = hashlib.sha256(raw).digest()
            if digest in seen:
                continue
            seen.add(digest)
        total += values.numel()
    return total


def summaries(first: Snapshot, last: Snapshot, last_step: int) -> list[dict]:
    """The telemetry's rows of a run's first and last snapshot."""
    return [_summary(first, 0, _floats(first)), compared(first, last, last_step)]


def compared(first: Snapshot, later: Snapshot, step: int) -> dict:
    """The telemetry's row of a later snapshot, with what changed since the run's first. Buffers that
    did not change (masks, tables of rotations) are no weights that died."""
    before, after = _floats(first), _floats(later)
    declared = {name for name, _, _, is_declared in later.tensors if is_declared}
    moved = change = norm = still = 0.0
    for name, values in after.items():
        start = before.get(name)
        if start is None or start.numel() != values.numel() or (name not in declared and torch.equal(start, values)):
            continue
        difference = (values.double() - start.double()).nan_to_num(0.0, 0.0, 0.0)
        change += float(difference.pow(2).sum())
        norm += float(start.double().nan_to_num(0.0, 0.0, 0.0).pow(2).sum())
        still += float((values == start).sum())
        moved += values.numel()
    row = _summary(later, step, after)
    row["update_ratio"] = math.sqrt(change / norm) if norm > 0 else 0.0
    row["dead_param_frac"] = still / moved if moved else 0.0
    return row


def _floats(snapshot: Snapshot) -> dict:
    return {name: values for name, _, values, _ in tensors(snapshot) if values.is_floating_point()}


def _summary(snapshot: Snapshot, step: int, floats: dict) -> dict:
    squares = sum(float(v.double().nan_to_num(0.0, 0.0, 0.0).pow(2).sum()) for v in floats.values())
    count = sum(v.numel() for v in floats.values())
    return {
        "step": step,
        "sha256": hashlib.sha256(snapshot.raw).hexdigest(),
        "bytes": len(snapshot.raw),
        "nonfinite": sum(int((~torch.isfinite(v)).sum()) for v in floats.values()),
        "weight_rms": math.sqrt(squares / count) if count else 0.0,
    }
