"""Attention and feed-forward side by side, as in PaLM."""

from torch import nn

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Parallel(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.attention, self.mlp = Attention(width), SwiGLU(width)

    def forward(self, x):
        return self.attention(x) + self.mlp(x)


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Parallel(width)))
