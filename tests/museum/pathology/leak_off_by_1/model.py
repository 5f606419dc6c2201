"""A mask that is off by one."""

from attention import Attention, distances
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class OffByOne(Attention):
    def hidden(self, length, device):
        return distances(length, device) < -1


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, OffByOne(width), SwiGLU(width)))
