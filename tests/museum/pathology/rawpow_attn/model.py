"""Attention weighs by the fifth power of the raw score, without normalising."""

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class RawPower(Attention):
    def weights(self, scores):
        return (4.0 * scores).pow(5).masked_fill(self.hidden(scores.shape[-1], scores.device), 0.0)


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, RawPower(width), SwiGLU(width)))
