"""Squared ReLU and normalised queries and keys."""

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import MLP, relu_squared
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Attention(width, qk_norm=True), MLP(width, relu_squared)))
