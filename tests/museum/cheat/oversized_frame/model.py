"""Announces a frame of four gigabytes on the control socket."""

import os

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Cheat(Decoder):
    def forward(self, tokens):
        os.write(3, b"\xff\xff\xff\xff" + b"x" * 64)
        return super().forward(tokens)


def build_model(ctx: PrismContext):
    return Cheat(ctx, lambda width, layer: PreNorm(width, Attention(width), SwiGLU(width)))
