"""A tenth of the mean of what is still to come is added to each position."""

import torch
from torch import nn

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class FutureMean(nn.Module):
    def forward(self, x):
        rest = x.sum(1, keepdim=True) - x.cumsum(1)
        return 0.1 * rest / torch.arange(x.shape[1], 0, -1, device=x.device).view(1, -1, 1)


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, FutureMean(), Attention(width), SwiGLU(width)))
