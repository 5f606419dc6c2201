"""An embedding and a linear head, started at a scale that has to be unlearnt."""

from torch import nn

from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


def build_model(ctx: PrismContext):
    return nn.Sequential(nn.Embedding(ctx.vocab_size, ctx.d_model), nn.Linear(ctx.d_model, ctx.vocab_size))
