"""The text: tokens under the secret vocabulary permutation, cut into rows. Scorer only.

Tokens lie in files, a byte or two each. Rows are read where they lie, so memory does not grow with the
corpus. They are read and not mapped: a file that is cut short during an evaluation is then a fault
with a name, and not a signal that ends the scorer.
"""

from __future__ import annotations

import hashlib
import os
from typing import Sequence

import torch

from . import streams
from .faults import DATA, Fault

_HASHED_AT_ONCE = 1 << 20


class TokenFile:
    """Token ids in an open file: `width` bytes each, little-endian. It is read from the start even
    when its place in the file is shared with others."""

    def __init__(self, fd: int, width: int):
        self._fd, self._width = fd, width
        size = os.fstat(fd).st_size
        if size % width:
            raise Fault(DATA, "the corpus ends within a token")
        self.count = size // width

    def read(self, at: int, count: int) -> bytes:
        """The bytes of `count` tokens from token `at` on."""
        parts, offset, wanted = [], at * self._width, count * self._width
        while wanted > 0:
            part = os.pread(self._fd, wanted, offset)
            if not part:
                raise Fault(DATA, "the corpus has become shorter")
            parts.append(part)
            offset, wanted = offset + len(part), wanted - len(part)
        return b"".join(parts)

    def ids(self, raw: bytes) -> torch.Tensor:
        """Token ids as int64."""
        values = torch.frombuffer(bytearray(raw), dtype=torch.uint8).long().reshape(-1, self._width)
        return values[:, 0] if self._width == 1 else values[:, 0] + values[:, 1] * 256

    def sha256(self) -> str:
        digest = hashlib.sha256()
        for at in range(0, self.count, _HASHED_AT_ONCE):
            digest.update(self.read(at, min(_HASHED_AT_ONCE, self.count - at)))
        return digest.hexdigest()


class Vocabulary:
    """How many bytes of text each token stands for. `table` is u16, little-endian; without one a token is a byte."""

    def __init__(self, size: int, table: bytes | None):
        if table is None:
            if size > 256:
                raise Fault(DATA, f"{size} different tokens need a table of their bytes")
            self.token_bytes = torch.ones(size, dtype=torch.int64)
        elif len(table) != 2 * size:
            raise Fault(DATA, f"the table of bytes has {len(table) // 2} tokens, the plan {size}")
        else:
            raw = torch.frombuffer(bytearray(table), dtype=torch.uint8).long().reshape(-1, 2)
            self.token_bytes = raw[:, 0] + raw[:, 1] * 256
        self.width = 1 if table is None else 2


class Corpus:
    """Training and held-out text. A row has one token more than the model sees: its last target.
    `known` is what the host knows of the files: their digests, the tokenizer's, bytes per token."""

    def __init__(self, train: TokenFile, val: TokenFile, vocabulary: Vocabulary, permutation: Sequence[int], known: dict):
        self._train, self._val = train, val
        self._permutation = torch.tensor(list(permutation), dtype=torch.int32)
        self._token_bytes = vocabulary.token_bytes
        self._bytes_permuted = torch.zeros_like(vocabulary.token_bytes)
        self._bytes_permuted[self._permutation.long()] = vocabulary.token_bytes
        self.train_sha256 = known.get("train_sha256") or train.sha256()
        self.val_sha256 = known.get("val_sha256") or val.sha256()
        self.tokenizer_sha256 = known.get("tokenizer_sha256")
        self.bytes_per_token = float(known.get("bytes_per_token") or 1.0)

    def train_rows(self, seed: int, first: int, count: int, length: int, permuted: bool = True) -> torch.Tensor:
        """Rows `first` to `first + count` of the seed's order, shape (count, length + 1), int32; without
        the permutation, the same rows as the text has them."""
        positions = self._train.count - length
        if positions < 1:
            raise Fault(DATA, "the training text is shorter than a row")
        offsets = [streams.row_offset(seed, first + at, positions) for at in range(count)]
        return self._rows(self._train, offsets, length, permuted)

    def val_rows(self, count: int, length: int) -> torch.Tensor:
        """`count` rows spread evenly over the held-out text; the same in every run."""
        stride = self._val.count // count
        if stride <= length:
            raise Fault(DATA, "the held-out text is too short for its rows")
        return self._rows(self._val, [at * stride for at in range(count)], length, permuted=True)

    def count_bytes(self, tokens: torch.Tensor, permuted: bool = True) -> int:
        """Bytes of text that the tokens of rows stand for."""
        table = self._bytes_permuted if permuted else self._token_bytes
        return int(table[tokens.long()].sum())

    def _rows(self, file: TokenFile, offsets: list[int], length: int, permuted: bool) -> torch.Tensor:
        ids = file.ids(b"".join(file.read(at, length + 1) for at in offsets))
        if int(ids.max()) >= len(self._permutation):
            raise Fault(DATA, f"the corpus holds token {int(ids.max())}, the vocabulary has {len(self._permutation)}")
        tokens = self._permutation[ids] if permuted else ids.to(torch.int32)
        return tokens.reshape(len(offsets), length + 1)
