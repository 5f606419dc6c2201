"""The first transformer's order of norm and addition; its own recipe warms up at a gentle rate."""

from torch import nn

from attention import Attention
from decoder import Decoder, PostNorm
from feedforward import MLP
from prism_challenge.evaluator.interface import PrismContext, TrainingRecipe


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PostNorm(width, Attention(width), MLP(width)), norm=nn.LayerNorm)


def get_recipe(ctx: PrismContext):
    return TrainingRecipe(learning_rate=1e-3, batch_size=ctx.batch_size, scheduler="cosine")
