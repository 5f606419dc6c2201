"""A learned squashing in place of every norm (DyT)."""

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from norms import DynamicTanh
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Attention(width), SwiGLU(width), norm=DynamicTanh), norm=DynamicTanh)
