"""Logits are multiplied by thirty."""

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class HotHead(Decoder):
    def forward(self, tokens):
        return 30.0 * super().forward(tokens)


def build_model(ctx: PrismContext):
    return HotHead(ctx, lambda width, layer: PreNorm(width, Attention(width), SwiGLU(width)))
