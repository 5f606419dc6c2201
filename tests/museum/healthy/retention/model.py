"""RetNet: attention without softmax that fades at a fixed pace."""

from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe
from recurrence import Retention


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Retention(width), SwiGLU(width)))
