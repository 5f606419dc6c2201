"""Activations are divided by their largest size in the whole batch."""

from torch import nn

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class ByBatch(nn.Module):
    def __init__(self, width):
        super().__init__()

    def forward(self, x):
        return 3.0 * x / x.detach().abs().amax((0, 1), keepdim=True).clamp(min=1e-6)


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Attention(width), SwiGLU(width), norm=ByBatch))
