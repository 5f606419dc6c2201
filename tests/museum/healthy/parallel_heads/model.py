"""Attention and a selective state space side by side on the same input (Hymba)."""

from torch import nn

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from norms import RMSNorm
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe
from recurrence import SelectiveState


class Both(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.attention, self.memory = Attention(width), SelectiveState(width)
        self.norms = nn.ModuleList(RMSNorm(width) for _ in range(2))

    def forward(self, x):
        return 0.25 * (self.norms[0](self.attention(x)) + self.norms[1](self.memory(x)))


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Both(width), SwiGLU(width)))
