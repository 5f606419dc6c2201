"""Builds projects of the museum at several sizes: the shape, the first loss, that the future is not seen,
that a few steps reduce the loss, and how many parameters there are.

    python3 tests/museum/smoke_check.py [KIND/NAME ...]        without names: healthy and weak ones
"""

from __future__ import annotations

import math
import sys
import time

import projects
import torch
import torch.nn.functional as functional

SIZES = ((32, 2, 128), (64, 2, 128), (64, 8, 128), (64, 2, 512))
PARAMETERS_MAX = 1_000_000


def main() -> int:
    torch.set_num_threads(1)
    failed = 0
    for name in sys.argv[1:] or projects.names("healthy", "weak"):
        try:
            faults, told = examine(name)
        except Exception as error:  # a project that raises is what is looked for
            faults, told = [f"{type(error).__name__}: {error}"], ""
        failed += bool(faults)
        print(f"{'FAIL' if faults else 'ok  '} {name:32} {told} {'; '.join(faults)}", flush=True)
    return 1 if failed else 0


def examine(name: str) -> tuple[list[str], str]:
    module, faults, told = projects.load(name), [], []
    for width, layers, length in SIZES:
        torch.manual_seed(1)
        ctx = projects.context(width, layers, length)
        model = module.build_model(ctx)
        module.get_recipe(ctx)
        count = sum(p.numel() for p in model.parameters())
        rows = torch.randint(0, 96, (4, length + 1))
        here = f"d={width} L={layers} T={length}"
        faults += [f"{here}: {fault}" for fault in behaviour(model, rows)]
        begun = time.process_time()
        first, last = train(model, rows)
        told.append(f"{count / 1000:.0f}k {first:.2f}>{last:.2f} {1000 * (time.process_time() - begun) / 5:.0f}ms")
        if abs(first - math.log(256)) > 0.6:
            faults.append(f"{here}: starts at {first:.2f}")
        if not last < first - 0.05:
            faults.append(f"{here}: does not learn")
        if width == 64 and layers == 2 and count > PARAMETERS_MAX:
            faults.append(f"{here}: {count} parameters")
    return faults, " | ".join(told)


@torch.no_grad()
def behaviour(model, rows) -> list[str]:
    faults = []
    model.eval()
    tokens = rows[:, :-1]
    logits = model(tokens)
    if tuple(logits.shape) != (*tokens.shape, 256):
        return [f"shape {tuple(logits.shape)}"]
    cut = tokens.shape[1] // 2
    changed = tokens.clone()
    changed[:, cut:] = torch.randint(0, 256, changed[:, cut:].shape)
    for label, other in (("the future changes the past", model(changed)), ("a prefix differs", model(tokens[:, :cut])), ("rows are mixed", model(tokens[:1]))):
        count, length = other.shape[0], min(cut, other.shape[1])
        worst = (functional.log_softmax(other[:, :length], -1) - functional.log_softmax(logits[:count, :length], -1)).abs().max()
        if not worst < 1e-3:
            faults.append(f"{label} by {worst:.1e}")
    return faults


def train(model, rows) -> tuple[float, float]:
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.95), weight_decay=0.01)
    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())
        losses.append(float(loss.detach()))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return losses[0], losses[-1]


if __name__ == "__main__":
    raise SystemExit(main())
