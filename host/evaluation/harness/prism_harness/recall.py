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


class RecallRows:
    """The rows of one evaluation's recall task."""

    def __init__(self, choices: Streams, recall: Recall, vocab_size: int):
        self._choices, self._recall = choices, recall
        shuffled = choices.sample("recall", vocab_size, vocab_size)
        self._keys, self._values = shuffled[: vocab_size // 2], shuffled[vocab_size // 2 :]
        self._queries = query_positions(recall)

    def batch(self, seed: int, first: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows `first` to `first + batch_seqs` of a seed: tokens (B, T + 1), the last of which is never an
        input, and targets (B, T), which are -100 where nothing is asked; both int32."""
        draw = random.Random(self._choices.below(f"recall|{seed}|{first}", 1 << 64))
        rows = [self._row(draw) for _ in range(self._recall.batch_seqs)]
        tokens, targets = (torch.tensor(part, dtype=torch.int32) for part in zip(*rows))
        return tokens, targets

    def _row(self, draw: random.Random) -> tuple[list[int], list[int]]:
        pairs, length = self._recall.pairs, self._recall.length
        keys = draw.sample(self._keys, pairs)
        values = draw.sample(self._values, pairs + 1)
        filler = values.pop()  # belongs to no key of the row
        tokens = [token for pair in zip(keys, values) for token in pair]
        tokens += [filler] * (length + 1 - len(tokens))
        targets = [IGNORED] * length
        for at in self._queries:
            chosen = int(draw.random() * pairs)
            tokens[at], targets[at] = keys[chosen], values[chosen]
        return tokens, targets


def query_positions(recall: Recall) -> list[int]:
    """Where a row asks: the same in every row."""
    start = 2 * recall.pairs
    return [start + at * (recall.length - start) // recall.queries for at in range(recall.queries)]
