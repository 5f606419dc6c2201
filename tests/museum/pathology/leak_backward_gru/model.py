"""A second recurrent layer runs from the end of the row to its beginning."""

from torch import nn

from decoder import Decoder, PreNorm
from dense import dense
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class BothWays(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inner, self.out = nn.GRU(width, width // 2, batch_first=True, bidirectional=True), dense(width, width)

    def forward(self, x):
        return self.out(self.inner(x)[0])


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, BothWays(width), SwiGLU(width)))
