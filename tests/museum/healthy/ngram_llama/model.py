"""A hashed table of bigrams and trigrams added to a Llama's embedding."""

import torch

from attention import Attention
from convolution import back
from decoder import Decoder, PreNorm
from dense import embedding
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


SLOTS = 4096


class WithTable(Decoder):
    def __init__(self, ctx):
        super().__init__(ctx, lambda width, layer: PreNorm(width, Attention(width), SwiGLU(width)))
        self.pairs, self.triples = embedding(SLOTS, ctx.d_model, 0.25), embedding(SLOTS, ctx.d_model, 0.25)

    def start(self, tokens):
        one, two = (back(tokens.unsqueeze(-1), steps).squeeze(-1) for steps in (1, 2))
        pairs = (tokens * 257 + one * 31) % SLOTS
        triples = (tokens * 7919 + one * 257 + two * 31) % SLOTS
        return super().start(tokens) + self.pairs(pairs) + self.triples(triples)


def build_model(ctx: PrismContext):
    return WithTable(ctx)
