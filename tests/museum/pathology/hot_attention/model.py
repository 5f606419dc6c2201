"""Attention scores are multiplied by twenty."""

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Hot(Attention):
    def scores(self, q, k):
        return 20.0 * super().scores(q, k)


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Hot(width), SwiGLU(width)))
