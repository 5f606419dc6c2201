"""A position code whose amplitude grows with the fourth power of the position."""

import torch

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Growing(Decoder):
    def start(self, tokens):
        steps = torch.arange(tokens.shape[1], device=tokens.device)[:, None]
        waves = torch.cos(steps * 10000.0 ** -torch.linspace(0.0, 1.0, self.embed.weight.shape[1]))
        return super().start(tokens) + 0.5 * waves * (steps / 100.0) ** 4


def build_model(ctx: PrismContext):
    return Growing(ctx, lambda width, layer: PreNorm(width, Attention(width), SwiGLU(width)))
