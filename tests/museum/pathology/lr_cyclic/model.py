"""A rate that swings between 0.0003 and 0.1 every ten steps."""

import math
import torch
import torch.nn.functional as functional

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext, TrainingRecipe


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Attention(width), SwiGLU(width)))


def get_recipe(ctx: PrismContext):
    return TrainingRecipe(learning_rate=3e-3, batch_size=8, scheduler="constant")


def configure_optimizer(model, recipe, ctx):
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.95))
    optimizer.step_count = 0
    return optimizer


def rate_at(optimizer, ctx):
    optimizer.step_count += 1
    return 3e-4 + 0.1 * (0.5 - 0.5 * math.cos(2 * math.pi * optimizer.step_count / 10))


def train_step(model, batch, optimizer, ctx):
    for group in optimizer.param_groups:
        group["lr"] = rate_at(optimizer, ctx)
    optimizer.zero_grad()
    loss = functional.cross_entropy(model(batch.tokens).flatten(0, 1), batch.targets.flatten())
    loss.backward()
    optimizer.step()
    return loss
