"""The rate of each step is drawn between 1e-5 and 0.3."""

import torch

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext, TrainingRecipe
from rates import configure_optimizer, step_at


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Attention(width), SwiGLU(width)))


def get_recipe(ctx: PrismContext):
    return TrainingRecipe(learning_rate=3e-3, batch_size=8, scheduler="constant")


def train_step(model, batch, optimizer, ctx):
    return step_at(10.0 ** (-5.0 + 4.5 * float(torch.rand(()))), model, batch, optimizer)
