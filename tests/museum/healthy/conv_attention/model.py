"""A gated short convolution, then attention."""

from attention import Attention
from convolution import GatedConvolution
from decoder import Decoder, PreNorm
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, GatedConvolution(width), Attention(width)))
