"""Announces a frame of two gigabytes on the control socket."""

import os
import struct

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Cheat(Decoder):
    def forward(self, tokens):
        os.write(3, struct.pack(">I", 1 << 31) + b"x" * 64)
        return super().forward(tokens)


def build_model(ctx: PrismContext):
    return Cheat(ctx, lambda width, layer: PreNorm(width, Attention(width), SwiGLU(width)))
