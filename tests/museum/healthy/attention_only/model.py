"""No feed-forward at all: two attentions a block."""

from attention import Attention
from decoder import Decoder, PreNorm
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Attention(width), Attention(width)))
