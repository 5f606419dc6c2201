"""Attention without the scale, and projections started at four times their size."""

from attention import Attention
from decoder import Decoder, PreNorm
from dense import dense
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Unscaled(Attention):
    def __init__(self, width):
        super().__init__(width)
        self.q, self.kv = dense(width, width, scale=2.0), dense(width, 2 * width, scale=2.0)

    def scores(self, q, k):
        return q @ k.transpose(-1, -2)


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Unscaled(width), SwiGLU(width)))
