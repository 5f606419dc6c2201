"""Embeddings that are a thousand times too large, and no norm at the start."""

from attention import Attention
from decoder import Decoder, PreNorm
from dense import embedding
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


def build_model(ctx: PrismContext):
    model = Decoder(ctx, lambda width, layer: PreNorm(width, Attention(width), SwiGLU(width)))
    model.embed = embedding(ctx.vocab_size, ctx.d_model, 1000.0)
    return model
