"""Sets every seed it can reach, in every call."""

import random
import torch

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Cheat(Decoder):
    def forward(self, tokens):
        torch.manual_seed(1234)
        random.seed(1234)
        return super().forward(tokens)


def build_model(ctx: PrismContext):
    torch.manual_seed(1234)
    return Cheat(ctx, lambda width, layer: PreNorm(width, Attention(width), SwiGLU(width)))
