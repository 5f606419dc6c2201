"""Gradient descent with a momentum of 0.999 and no damping."""

import torch

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext, TrainingRecipe


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Attention(width), SwiGLU(width)))


def get_recipe(ctx: PrismContext):
    return TrainingRecipe(learning_rate=0.1, batch_size=8, scheduler="constant")


def configure_optimizer(model, recipe, ctx):
    return torch.optim.SGD(model.parameters(), lr=recipe.learning_rate, momentum=0.999)
