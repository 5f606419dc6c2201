"""All query heads share one head of keys and values."""

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Attention(width, kv_heads=1), SwiGLU(width)))
