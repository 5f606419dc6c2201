"""A router whose first expert wins every token."""

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import Experts
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Collapsed(Experts):
    """A constant of thirty, which no training of this length undoes."""

    def route(self, x):
        logits = super().route(x).clone()
        logits[..., 0] += 30.0
        return logits


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Attention(width), Collapsed(width, top=1)))
