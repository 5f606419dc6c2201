"""Every random choice of an evaluation, derived from the job's secret and seeds, so that a replay of
the job makes the same choices and no guest can foresee one.

The order of the training data follows from a seed alone, so that the reference sees the same rows;
the vocabulary permutation, the audited steps and the cuts follow from the secret.
"""

from __future__ import annotations

import hashlib
import hmac


def order_id(seed: int) -> str:
    """Names the data order of a seed; runs with the same order saw the same text."""
    return "o" + hashlib.sha256(f"order|{seed}".encode()).hexdigest()[:16]


def row_offset(seed: int, row: int, positions: int) -> int:
    """Where training row number `row` starts."""
    digest = hashlib.sha256(f"row|{seed}|{row}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % positions


def model_seed(seed: int) -> int:
    """The seed handed to the project; tells nothing about the data order."""
    return int.from_bytes(hashlib.sha256(f"model|{seed}".encode()).digest()[:4], "big") >> 1


def packed(permutation: list[int]) -> bytes:
    """A permutation as it is committed to: a byte an id, or two, little-endian, where one is not enough."""
    width = 1 if len(permutation) <= 256 else 2
    return b"".join(value.to_bytes(width, "little") for value in permutation)


class Streams:
    """Choices that follow from the secret."""

    def __init__(self, secret: bytes):
        self._secret = secret
        self.salt = self._bytes("salt").hex()

    def permutation(self, size: int = 256) -> list[int]:
        """A secret order of the vocabulary: priors smuggled in the source are worthless under it."""
        return self.sample("permutation", size, size)

    def sample(self, label: str, population: int, count: int) -> list[int]:
        """`count` different numbers below `population`, in random order."""
        pool = list(range(population))
        for at in range(min(count, population)):
            other = at + self.below(f"{label}|{at}", population - at)
            pool[at], pool[other] = pool[other], pool[at]
        return pool[:count]

    def below(self, label: str, bound: int) -> int:
        """A number in 0..bound."""
        return int.from_bytes(self._bytes(label)[:16], "big") % bound

    def commitment(self, value: bytes) -> str:
        return hashlib.sha256(value + self.salt.encode()).hexdigest()

    def _bytes(self, label: str) -> bytes:
        return hmac.new(self._secret, label.encode(), hashlib.sha256).digest()
