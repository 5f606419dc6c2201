"""What is noted of a model's inside: where the scorer asks for it, and how far it is to be believed.

The worker's own report (`inspect`) is advisory and marked `U`; what the scorer computes from weight
snapshots is marked `T`. A guest or a build without these parts gives no rows, which is neutral.
"""

from __future__ import annotations

from typing import Any

import torch

from .peer import Peer, Snapshot

try:
    from . import layers
except ImportError:  # this build computes no rows from weights
    layers = None

_ROWS_MAX = 64  # layers in one report


def layer_rows(peer: Peer, rows: torch.Tensor, step: int) -> list[dict]:
    """Activations and gradients of each layer on `rows`, as the worker reports them."""
    inspect = getattr(peer, "inspect", None)
    if inspect is None:
        return []
    return [{**row, "step": step, "trust": "U"} for row in inspect(rows)["layers"][:_ROWS_MAX]]


def weight_rows(first: Snapshot, last: Snapshot) -> list[dict]:
    """How the weights of each repeated block moved over the run."""
    if layers is None:
        return []
    return [{**row, "trust": "T"} for row in layers.from_snapshots(first, last)[:_ROWS_MAX]]


def noise_scale(*measured_with: Any) -> dict | None:
    """The gradient-noise scale from batches of two sizes."""
    return None if layers is None else layers.noise_scale(*measured_with)
