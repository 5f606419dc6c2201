"""Each block adds its part with a weight that doubles from layer to layer."""

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Doubling(PreNorm):
    def __init__(self, width, layer, *parts):
        super().__init__(width, *parts)
        self.gain = 2.0**layer

    def forward(self, x):
        return x + self.gain * (super().forward(x) - x)


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: Doubling(width, layer, Attention(width), SwiGLU(width)))
