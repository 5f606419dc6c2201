"""A linear recurrence with a gain above one, trained without clipping by its own recipe."""

import torch
import torch.nn.functional as functional
from torch import nn

from decoder import Decoder, PreNorm
from dense import dense
from norms import Identity
from prism_challenge.evaluator.interface import PrismContext, TrainingRecipe


class Exploding(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inner, self.out = nn.RNN(width, width, batch_first=True, nonlinearity="relu"), dense(width, width)
        nn.init.eye_(self.inner.weight_hh_l0)
        self.inner.weight_hh_l0.data *= 1.02

    def forward(self, x):
        return self.out(self.inner(x)[0])


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Exploding(width), norm=Identity), norm=Identity)


def get_recipe(ctx: PrismContext):
    return TrainingRecipe(learning_rate=3e-3, batch_size=8, scheduler="constant")


def train_step(model, batch, optimizer, ctx):
    optimizer.zero_grad()
    loss = functional.cross_entropy(model(batch.tokens).flatten(0, 1), batch.targets.flatten())
    loss.backward()
    optimizer.step()
    return loss
