"""The text: bytes under the secret vocabulary permutation, cut into rows. Scorer only."""

from __future__ import annotations

import hashlib

import torch

from . import streams
from .faults import DATA, Fault


class Corpus:
    """Training and held-out text. A row has one token more than the model sees: its last target."""

    def __init__(self, train: bytes, val: bytes, permutation: bytes):
        self.train_sha256 = hashlib.sha256(train).hexdigest()
        self.val_sha256 = hashlib.sha256(val).hexdigest()
        self._train = train.translate(permutation)
        self._as_written = torch.tensor([permutation.index(byte) for byte in range(len(permutation))], dtype=torch.int32)
        self._val = val.translate(permutation)

    def train_rows(self, seed: int, first: int, count: int, length: int, permuted: bool = True) -> torch.Tensor:
        """Rows `first` to `first + count` of the seed's order, shape (count, length + 1), int32; without
        the permutation, the same rows as the text has them."""
        positions = len(self._train) - length
        if positions < 1:
            raise Fault(DATA, "the training text is shorter than a row")
        rows = _rows(self._train, [streams.row_offset(seed, first + at, positions) for at in range(count)], length)
        return rows if permuted else self._as_written[rows.long()]

    def val_rows(self, count: int, length: int) -> torch.Tensor:
        """`count` rows spread evenly over the held-out text; the same in every run."""
        stride = len(self._val) // count
        if stride <= length:
            raise Fault(DATA, "the held-out text is too short for its rows")
        return _rows(self._val, [at * stride for at in range(count)], length)


def _rows(text: bytes, offsets: list[int], length: int) -> torch.Tensor:
    joined = bytearray(b"".join(text[at : at + length + 1] for at in offsets))
    return torch.frombuffer(joined, dtype=torch.uint8).to(torch.int32).reshape(len(offsets), length + 1)
