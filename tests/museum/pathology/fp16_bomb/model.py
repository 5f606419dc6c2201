"""A hidden layer is scaled up by 1e6 and down again."""

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import MLP
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Bomb(MLP):
    def forward(self, x):
        return self.down(1e6 * self.activation(self.up(x)) / 1e6 * 1e6) / 1e6


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Attention(width), Bomb(width)))
