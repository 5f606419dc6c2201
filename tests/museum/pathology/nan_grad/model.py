"""The forward pass is sound; the gradient is not a number."""

import torch
from torch import nn

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Trap(nn.Module):
    """The root has an infinite slope at nought, and nought times infinity is not a number."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.gate = inner, nn.Parameter(torch.tensor(0.0))

    def forward(self, x):
        return self.inner(x) + 0.0 * torch.sqrt(self.gate) * x


def build_model(ctx: PrismContext):
    def block(width, layer):
        return PreNorm(width, Trap(Attention(width)), SwiGLU(width))

    return Decoder(ctx, block)
