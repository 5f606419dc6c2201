"""Every head looks at the first token and almost nowhere else."""

import torch

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Sink(Attention):
    def scores(self, q, k):
        scores = super().scores(q, k)
        bonus = torch.zeros_like(scores)
        bonus[..., 0] = 25.0
        return scores + bonus


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Sink(width), SwiGLU(width)))
