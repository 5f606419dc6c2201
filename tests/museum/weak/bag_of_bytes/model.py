"""A running mean of embeddings: the order of the tokens is lost."""

import torch
from torch import nn

from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class RunningMean(nn.Module):
    def forward(self, x):
        return x.cumsum(1) / torch.arange(1, x.shape[1] + 1, device=x.device).view(1, -1, 1)


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, RunningMean(), SwiGLU(width)))
