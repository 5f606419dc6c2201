"""A feed-forward over the last four tokens: a neural 4-gram."""

import torch
from torch import nn

from convolution import back
from decoder import Decoder, PreNorm
from feedforward import MLP
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Window(nn.Module):
    def __init__(self, width, taps=4):
        super().__init__()
        self.taps, self.mlp = taps, MLP(width, inputs=taps * width, factor=2)

    def forward(self, x):
        return self.mlp(torch.cat([back(x, steps) for steps in range(self.taps)], dim=-1))


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Window(width)))
