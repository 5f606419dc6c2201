"""What the scorer itself can say about a model's inside: per group of weights from raw snapshots
(trust T), and the gradient noise scale from norms that a worker reported (trust U)."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import torch

from .snapshot import tensors

if TYPE_CHECKING:
    from .corpus import Corpus
    from .peer import Peer, Snapshot
    from .training_run import RunPlan

LAYERS_MAX = 64
_INDEX = re.compile(r"(?:^|(?<=\.))\d+(?=\.)")


def from_snapshots(first: "Snapshot", last: "Snapshot") -> list[dict]:
    """One row of kind `weights` per repeated block, in the order of their numbers, and one last row for
    everything else. Buffers that never changed (masks, tables of rotations) are no weights."""
    before = {name: (values, raw) for name, _, values, raw in tensors(first)}
    held = []
    for name, declared, values, raw in tensors(last):
        start = before.get(name)
        if start is None or not values.is_floating_point() or start[0].shape != values.shape or start[0].dtype != values.dtype:
            continue
        if values.numel() and (declared or start[1] != raw):
            held.append((name, start[0].double(), values.double()))
    groups: dict[int, list] = defaultdict(list)
    block_of = blocks([(name, values.numel()) for name, _, values in held])
    for name, start, values in held:
        groups[block_of.get(name, 1 << 30)].append((start, values))
    rows = [_row(groups[key]) for key in sorted(groups)]
    return [{"layer": layer, "kind": "weights", "trust": "T", **rows[layer]} for layer in _evenly(len(rows))]


def blocks(names: list[tuple[str, int]]) -> dict[str, int]:
    """Tensor name -> number of its block. The blocks are the numbered parts under that prefix where
    most weights lie in parts of like layout (`blocks.3.`), the outermost of several."""
    parts: dict[str, dict[int, list]] = defaultdict(lambda: defaultdict(list))
    for name, size in names:
        for found in _INDEX.finditer(name):
            parts[name[: found.start()]][int(found.group())].append((name[found.end() :], size, name))
    best, covered = None, 0
    for prefix in sorted(parts, key=lambda text: (text.count("."), text)):
        layouts = {index: tuple(sorted(entry[:2] for entry in entries)) for index, entries in parts[prefix].items()}
        alike = {layout for layout, count in Counter(layouts.values()).items() if count > 1}
        size = sum(entry[1] for index, entries in parts[prefix].items() if layouts[index] in alike for entry in entries)
        if size > covered:
            best, covered = prefix, size
    if best is None:  # nothing is repeated: the outermost numbered parts, if there are any
        best = min(parts, key=lambda text: (text.count("."), text), default=None)
    if best is None:
        return {}
    return {name: index for index, entries in parts[best].items() for _, _, name in entries}


def _row(group: list[tuple[torch.Tensor, torch.Tensor]]) -> dict:
    count = sum(values.numel() for _, values in group)
    squares = sum(float(_finite(values).square().sum()) for _, values in group)
    norm = sum(float(_finite(start).square().sum()) for start, _ in group)
    change = sum(float(_finite(values - start).square().sum()) for start, values in group)
    still = sum(int((values == start).sum()) for start, values in group)
    row = {"weight_rms": math.sqrt(squares / count), "dead_param_frac": still / count}
    if norm > 0:
        row["update_ratio"] = math.sqrt(change / norm)
    return {name: float(f"{value:.9g}") for name, value in row.items() if math.isfinite(value)}


def _finite(values: torch.Tensor) -> torch.Tensor:
    return values.nan_to_num(0.0, 0.0, 0.0)


def _evenly(count: int) -> list[int]:
    if count <= LAYERS_MAX:
        return list(range(count))
    return [at * (count - 1) // (LAYERS_MAX - 1) for at in range(LAYERS_MAX)]


def noise_scale(peer: "Peer", corpus: "Corpus", plan: "RunPlan", pairs: int = 3) -> dict | None:
    """McCandlish et al. (2018): the batch below which a gradient is mostly noise, from squared gradient
    norms at B and at 4B rows: E|G_B|² = |G|² + tr(Σ)/B. The rows are ones that the run did not see.
    None when a norm is missing, or when noise hides either term."""
    small, big = plan.batch, 4 * plan.batch
    small_squares, big_squares = [], []
    for pair in range(pairs):
        rows = corpus.train_rows(plan.seed, plan.steps * small + pair * big, big, plan.length)
        small_squares += [peer.inspect(rows[at : at + small])["grad_norm"] for at in range(0, big, 2 * small)]
        big_squares.append(peer.inspect(rows)["grad_norm"])
    if any(norm is None or norm > 1e100 for norm in small_squares + big_squares):
        return None
    at_small = math.fsum(norm * norm for norm in small_squares) / len(small_squares)
    at_big = math.fsum(norm * norm for norm in big_squares) / len(big_squares)
    g2 = (big * at_big - small * at_small) / (big - small)
    tr_sigma = (at_small - at_big) / (1.0 / small - 1.0 / big)
    if g2 <= 0.0 or tr_sigma <= 0.0:
        return None
    return {"b_small": small, "b_big": big, "pairs": pairs, "g2": g2, "tr_sigma": tr_sigma, "b_simple_seqs": tr_sigma / g2}
