"""What the museum's healthy and weak architectures reach with far more compute than a smoke run: the
targets that rank.py holds smoke scores against. Writes tests/museum/targets.jsonl.

    python3 tests/museum/targets.py [--target 17x|86x] [KIND/NAME ...]

Each line is one architecture trained once by the evaluator's recipe on the smoke corpus. What the file
has already is not trained again, so the command may be stopped and started at will.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time

import projects
import torch
import torch.nn.functional as functional
from prism_harness import environment
from prism_harness.corpus import Corpus, TokenFile, Vocabulary
from prism_harness.training import schedule_factor

# Compute as a multiple of a smoke run at d_model 64, two layers, 150 steps of 8 rows of 128 tokens.
TARGETS = {
    "17x": {"d_model": 128, "n_layer": 4, "seq_len": 128, "batch_seqs": 8, "steps": 400},
    "86x": {"d_model": 128, "n_layer": 4, "seq_len": 256, "batch_seqs": 8, "steps": 1000},
}
RECIPE = {"lr": 3e-3, "betas": (0.9, 0.95), "weight_decay": 0.01}
WARMUP, CLIP, SEED = 0.05, 1.0, 1
VAL_ROWS, VAL_CHUNK, TAIL = 128, 16, 0.2
FILE = os.path.join(projects.HERE, "targets.jsonl")
CORPUS = os.path.join(os.path.dirname(projects.HARNESS), "corpus", "smoke")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", choices=sorted(TARGETS), action="append")
    parser.add_argument("names", nargs="*")
    chosen = parser.parse_args()
    if unknown := sorted(set(chosen.names) - set(projects.names("healthy", "weak"))):
        parser.error(f"there is no {', '.join(unknown)}")
    torch.set_num_threads(1)
    environment.keep_memory()
    corpus = Corpus(text("train.txt"), text("val.txt"), Vocabulary(256, None), range(256), {})
    for target in chosen.target or sorted(TARGETS):
        for name in chosen.names or projects.names("healthy", "weak"):
            if (name, target) not in done():
                row = measure(name, target, corpus)
                with open(FILE, "a") as file:
                    file.write(json.dumps(row) + "\n")
                print(f"{target} {name} {row['val_bpb']:.4f} bpb, {row['cpu_s']:.0f} s", flush=True)


def text(name: str) -> TokenFile:
    return TokenFile(os.open(os.path.join(CORPUS, name), os.O_RDONLY), 1)


def done() -> set[tuple[str, str]]:
    if not os.path.exists(FILE):
        return set()
    with open(FILE) as file:
        return {(row["project"], row["target"]) for row in map(json.loads, file)}


def measure(name: str, target: str, corpus: Corpus) -> dict:
    shape = TARGETS[target]
    width, layers, length, batch, steps = (shape[key] for key in ("d_model", "n_layer", "seq_len", "batch_seqs", "steps"))
    torch.manual_seed(SEED)
    ctx = projects.context(width, layers, length, SEED, batch_size=batch, step_budget=steps)
    model = projects.load(name).build_model(ctx)
    begun, cpu = time.monotonic(), time.process_time()
    losses = train(model, corpus, steps, batch, length)
    val = held_out(model, corpus, length)
    tail = losses[-round(TAIL * steps) :]
    return {
        "project": name,
        "target": target,
        **shape,
        "val_bpb": round(val / math.log(2), 5),
        "tail_bpb": round(sum(tail) / len(tail) / math.log(2), 5),
        "preq_bpb": round(sum(losses) / len(losses) / math.log(2), 5),
        "parameters": sum(p.numel() for p in model.parameters()),
        "seed": SEED,
        "wall_s": round(time.monotonic() - begun, 1),
        "cpu_s": round(time.process_time() - cpu, 1),
        "torch": torch.__version__,
        "blas": environment.blas_name(),
        "train_sha256": corpus.train_sha256,
        "val_sha256": corpus.val_sha256,
    }


def train(model, corpus: Corpus, steps: int, batch: int, length: int) -> list[float]:
    """Losses in nats, each measured on rows before they are trained on."""
    optimizer = torch.optim.AdamW(model.parameters(), **RECIPE)
    losses = []
    model.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RECIPE["lr"] * schedule_factor("constant", step, steps, WARMUP)
        rows = corpus.train_rows(SEED, step * batch, batch, length).long()
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())
        losses.append(float(loss.detach()))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
    return losses


@torch.no_grad()
def held_out(model, corpus: Corpus, length: int) -> float:
    model.eval()
    rows = corpus.val_rows(VAL_ROWS, length).long()
    parts = [functional.cross_entropy(model(part[:, :-1]).flatten(0, 1), part[:, 1:].flatten()) for part in rows.split(VAL_CHUNK)]
    return float(torch.stack(parts).mean())


if __name__ == "__main__":
    main()
