"""Causal convolutions, short and long."""

import torch
import torch.nn.functional as functional
from torch import nn

from dense import dense


def back(x, steps):
    """The stream `steps` positions ago, zeros before its beginning."""
    return x if steps == 0 else functional.pad(x, (0, 0, steps, 0))[:, : x.shape[1]]


class ShortConvolution(nn.Module):
    """Depthwise, over the last few positions, as a sum of shifted copies."""

    def __init__(self, channels, taps=4):
        super().__init__()
        self.taps = nn.Parameter(torch.randn(taps, channels) * 0.3)
        self.taps.data[0] += 1.0

    def forward(self, x):
        return sum(tap * back(x, steps) for steps, tap in enumerate(self.taps))


class GatedConvolution(nn.Module):
    def __init__(self, width, taps=4, factor=2):
        super().__init__()
        self.expand, self.contract = dense(width, 2 * factor * width), dense(factor * width, width)
        self.convolution = ShortConvolution(factor * width, taps)

    def forward(self, x):
        signal, gate = self.expand(x).chunk(2, dim=-1)
        return self.contract(self.convolution(signal) * functional.silu(gate))


def long_convolution(x, kernel):
    """(batch, length, channels) with (length, channels), causal, by Fourier transforms."""
    size = 2 * x.shape[1]
    product = torch.fft.rfft(x, n=size, dim=1) * torch.fft.rfft(kernel, n=size, dim=0)
    return torch.fft.irfft(product, n=size, dim=1)[:, : x.shape[1]]
