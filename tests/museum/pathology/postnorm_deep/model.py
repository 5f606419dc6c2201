"""Post-norm with residual branches that are four times too strong."""

from torch import nn

from attention import Attention
from decoder import Decoder
from feedforward import MLP
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class StrongPostNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.attention, self.mlp = Attention(width), MLP(width)
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x):
        x = self.first(x + 4.0 * self.attention(x))
        return self.second(x + 4.0 * self.mlp(x))


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: StrongPostNorm(width), norm=nn.LayerNorm)
