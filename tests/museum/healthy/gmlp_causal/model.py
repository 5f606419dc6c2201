"""A gated MLP whose gate mixes positions by a triangular Toeplitz matrix."""

import torch
import torch.nn.functional as functional
from torch import nn

from attention import distances
from decoder import Decoder, PreNorm
from dense import dense
from norms import RMSNorm
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class SpatialGate(nn.Module):
    def __init__(self, width, length):
        super().__init__()
        self.up, self.down, self.norm = dense(width, 4 * width), dense(2 * width, width), RMSNorm(2 * width)
        self.taps, self.bias = nn.Parameter(0.1 * torch.randn(length)), nn.Parameter(torch.ones(1))

    def forward(self, x):
        signal, gate = functional.gelu(self.up(x)).chunk(2, dim=-1)
        back = distances(x.shape[1], x.device)
        matrix = self.taps[back.clamp(min=0)] * (back >= 0)
        return self.down(signal * (matrix @ self.norm(gate) + self.bias))


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, SpatialGate(width, ctx.sequence_length)))
