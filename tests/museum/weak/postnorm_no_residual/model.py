"""Norms after each part and no residual path."""

from torch import nn

from attention import Attention
from decoder import Decoder
from feedforward import MLP
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


def build_model(ctx: PrismContext):
    def block(width, layer):
        return nn.Sequential(Attention(width), nn.LayerNorm(width), MLP(width), nn.LayerNorm(width))

    return Decoder(ctx, block, norm=nn.LayerNorm)
