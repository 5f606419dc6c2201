"""The residual stream changes its sign and grows by a quarter in every block."""

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Flipping(PreNorm):
    def forward(self, x):
        return -1.25 * super().forward(x)


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: Flipping(width, Attention(width), SwiGLU(width)))
