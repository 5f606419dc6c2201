"""The residual stream is multiplied by one and a half in every block."""

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Drifting(PreNorm):
    def forward(self, x):
        return 1.5 * super().forward(x)


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: Drifting(width, Attention(width), SwiGLU(width)))
