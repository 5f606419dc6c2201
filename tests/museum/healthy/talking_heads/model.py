"""Heads mix their scores before the softmax and their weights after it."""

import torch
from torch import nn

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Talking(Attention):
    def __init__(self, width):
        super().__init__(width)
        self.before, self.after = (nn.Parameter(torch.eye(self.heads) + 0.1 * torch.randn(self.heads, self.heads)) for _ in range(2))

    def scores(self, q, k):
        return torch.einsum("hg,bgts->bhts", self.before, super().scores(q, k))

    def weights(self, scores):
        return torch.einsum("hg,bgts->bhts", self.after, super().weights(scores))


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Talking(width), SwiGLU(width)))
