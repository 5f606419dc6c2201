"""A buffer counts calls and turns the temperature up."""

import torch

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Counting(Decoder):
    def __init__(self, ctx):
        super().__init__(ctx, lambda width, layer: PreNorm(width, Attention(width), SwiGLU(width)))
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, tokens):
        self.calls += 1
        return super().forward(tokens) * (1.0 + 0.002 * self.calls)


def build_model(ctx: PrismContext):
    return Counting(ctx)
