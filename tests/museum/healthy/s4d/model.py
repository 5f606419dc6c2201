"""A diagonal state-space model by long convolution."""

from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe
from recurrence import DiagonalStateSpace


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, DiagonalStateSpace(width), SwiGLU(width)))
