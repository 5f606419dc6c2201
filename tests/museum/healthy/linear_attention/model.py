"""Kernel features in place of the softmax."""

from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe
from recurrence import LinearAttention


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, LinearAttention(width), SwiGLU(width)))
