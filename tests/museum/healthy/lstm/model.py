"""LSTM layers between residual norms."""

from torch import nn

from decoder import Decoder, PreNorm
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe
from recurrence import Unrolled


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Unrolled(width, nn.LSTM)))
