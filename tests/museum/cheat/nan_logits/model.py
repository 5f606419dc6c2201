"""Answers NaN, hoping that a comparison with NaN falls the right way."""

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Cheat(Decoder):
    def forward(self, tokens):
        return super().forward(tokens) * float("nan")


def build_model(ctx: PrismContext):
    return Cheat(ctx, lambda width, layer: PreNorm(width, Attention(width), SwiGLU(width)))
