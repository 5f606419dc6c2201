"""Associative recall: rows of key-value pairs and questions about them, made afresh for every row.

A row is `pairs` keys, each followed by its value, and then `queries` of these keys, spread evenly over the
rest of the row. At a query the model has to name the key's value; nothing else is asked, and the answer never
follows in the row. Keys come from one half of the vocabulary and values from the other; which half is
which token follows from the secret. Keys and values of a row are all different, and every query picks
its key independently, so that

* a model that knows nothing of the row is right at 2 in `vocab_size`: it can only know what is a value;
* a model that sees which values are in the row, but not whose they are, is right at 1 in `pairs`: chance;
* only a model that looks up which value followed the key is right more often.
"""

from __future__ import annotations

import random

import torch

from .probes import Recall
from .scoring import IGNORED
from .streams import Streams


def recall_rows(choices: Streams, recall: Recall, vocab_size: int, seed: int, first: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows `first` to `first + batch_seqs` of a seed: tokens (B, T + 1), the last of which is never an
    input, and targets (B, T), which are -100 where nothing is asked; both int32."""
    shuffled = choices.sample("recall", vocab_size, vocab_size)
    keys, values = shuffled[: vocab_size // 2], shuffled[vocab_size // 2 :]
    draw = random.Random(choices.below(f"recall|{seed}|{first}", 1 << 64))
    rows = [_row(draw, recall, keys, values) for _ in range(recall.batch_seqs)]
    tokens, targets = (torch.tensor(part, dtype=torch.int32) for part in zip(*rows))
    return tokens, targets


def query_positions(recall: Recall) -> list[int]:
    """Where a row asks: the same in every row."""
    start = 2 * recall.pairs
    return [start + at * (recall.length - start) // recall.queries for at in range(recall.queries)]


def _row(draw: random.Random, recall: Recall, keys: list[int], values: list[int]) -> tuple[list[int], list[int]]:
    own_keys = draw.sample(keys, recall.pairs)
    own_values = draw.sample(values, recall.pairs)
    filler = [value for value in values if value not in own_values]
    tokens = [token for pair in zip(own_keys, own_values) for token in pair]
    tokens += [draw.choice(filler) for _ in range(recall.length + 1 - len(tokens))]
    targets = [IGNORED] * recall.length
    for at in query_positions(recall):
        chosen = draw.randrange(recall.pairs)
        tokens[at], targets[at] = own_keys[chosen], own_values[chosen]
    return tokens, targets
