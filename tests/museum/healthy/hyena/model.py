"""Long implicit convolutions between gates."""

import torch
from torch import nn

from convolution import long_convolution, ShortConvolution
from decoder import Decoder, PreNorm
from dense import dense
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class LongGate(nn.Module):
    """The filter is a small network of time under a fading window, so it has any length."""

    def __init__(self, width):
        super().__init__()
        self.expand, self.out, self.short = dense(width, 3 * width), dense(width, width), ShortConvolution(3 * width, 3)
        self.filter = nn.Sequential(nn.Linear(8, 32), nn.SiLU(), nn.Linear(32, width))
        self.pace = nn.Parameter(torch.linspace(-4.0, 0.0, width))

    def kernel(self, length, device):
        ago = torch.arange(length, device=device)[:, None]
        waves = torch.cos(ago * 2.0 ** -torch.arange(8, device=device))
        return self.filter(waves) * torch.exp(-torch.exp(self.pace) * ago)

    def forward(self, x):
        first, second, v = self.short(self.expand(x)).chunk(3, dim=-1)
        v = first * v
        return self.out(second * (long_convolution(v, self.kernel(x.shape[1], x.device)) + v))


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, LongGate(width), SwiGLU(width)))
