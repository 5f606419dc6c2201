"""RWKV-4: token shift, weighted averages that fade, squared ReLU."""

from decoder import Decoder, PreNorm
from feedforward import MLP, relu_squared
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe
from recurrence import TimeMix


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, TimeMix(width), MLP(width, relu_squared)))
