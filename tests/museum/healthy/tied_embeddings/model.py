"""One matrix for the embedding and the head."""

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Tied(Decoder):
    def __init__(self, ctx):
        super().__init__(ctx, lambda width, layer: PreNorm(width, Attention(width), SwiGLU(width)), tied=True)

    def start(self, tokens):
        return super().start(tokens) * self.embed.weight.shape[1] ** 0.5


def build_model(ctx: PrismContext):
    return Tied(ctx)
