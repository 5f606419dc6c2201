"""A simplified Mamba, and nothing else."""

from decoder import Decoder, PreNorm
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe
from recurrence import SelectiveState


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, SelectiveState(width)))
