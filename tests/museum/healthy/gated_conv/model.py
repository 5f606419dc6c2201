"""Gated convolutions of width eight and no attention."""

from convolution import GatedConvolution
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, GatedConvolution(width, taps=8), SwiGLU(width)))
