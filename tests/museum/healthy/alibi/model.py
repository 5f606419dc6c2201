"""Linear penalties on distance in place of rotary positions."""

import torch

from attention import Attention, distances
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Sloped(Attention):
    def scores(self, q, k):
        slopes = 2.0 ** (-8.0 * (torch.arange(self.heads, device=q.device) + 1) / self.heads)
        return super().scores(q, k) - slopes[:, None, None] * distances(q.shape[2], q.device).clamp(min=0)


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Sloped(width, rotary=False), SwiGLU(width)))
