"""A position code that becomes a NaN beyond 256 positions."""

import torch

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Fragile(Decoder):
    def start(self, tokens):
        steps = torch.arange(tokens.shape[1], device=tokens.device)
        return super().start(tokens) + 0.1 * torch.sqrt(256.0 - steps)[:, None]


def build_model(ctx: PrismContext):
    return Fragile(ctx, lambda width, layer: PreNorm(width, Attention(width), SwiGLU(width)))
