"""Memories that fade: recurrences, computed for all positions at once where that is possible."""

import math

import torch
import torch.nn.functional as functional
from torch import nn

from attention import Attention, distances, unit
from convolution import ShortConvolution, back, long_convolution
from dense import dense


def scan(keep, new):
    """h[t] = keep[t] * h[t-1] + new[t] along dimension 1, by doubling."""
    step = 1
    while step < new.shape[1]:
        new = new + keep * back(new, step)
        keep = keep * functional.pad(keep, (0, 0, step, 0), value=1.0)[:, : keep.shape[1]]
        step *= 2
    return new


class Retention(Attention):
    """Attention without softmax; what is far away fades at one fixed pace a head."""

    def weights(self, scores):
        back_by = distances(scores.shape[-1], scores.device)
        pace = torch.log1p(-(2.0 ** (-2.0 - 4.0 * torch.arange(self.heads, device=scores.device) / self.heads)))
        fade = torch.exp(pace[:, None, None] * back_by.clamp(min=0)) * (back_by >= 0)
        return scores * fade / fade.sum(-1, keepdim=True).sqrt()

    def join(self, mixed):
        return self.out(unit(mixed).transpose(1, 2).flatten(2))


class LinearAttention(Attention):
    """Positive features of queries and keys in place of the softmax."""

    def scores(self, q, k):
        return (functional.elu(q) + 1) @ (functional.elu(k) + 1).transpose(-1, -2)

    def weights(self, scores):
        kept = scores.tril()
        return kept / (kept.sum(-1, keepdim=True) + 1e-6)


class TimeMix(nn.Module):
    """RWKV's weighted average: each channel fades at its own learned pace, the present has a bonus."""

    def __init__(self, width):
        super().__init__()
        self.mix = nn.Parameter(torch.full((3, width), 0.5))
        self.k, self.v, self.r, self.out = (dense(width, width) for _ in range(4))
        self.pace = nn.Parameter(torch.linspace(-4.0, 1.0, width))
        self.bonus = nn.Parameter(torch.zeros(width))

    def forward(self, x):
        before = back(x, 1)
        k, v, r = (part(x * mix + before * (1 - mix)) for part, mix in zip((self.k, self.v, self.r), self.mix))
        weight = torch.exp(k.clamp(max=6.0))
        ago = torch.arange(x.shape[1], device=x.device)[:, None]
        fade = torch.exp(-torch.exp(self.pace) * (ago - 1).clamp(min=0)) * (ago > 0) + torch.exp(self.bonus) * (ago == 0)
        both = long_convolution(torch.cat((weight * v, weight), dim=-1), torch.cat((fade, fade), dim=-1))
        total, norm = both.chunk(2, dim=-1)
        return self.out(torch.sigmoid(r) * total / norm.clamp(min=1e-4))


class DiagonalStateSpace(nn.Module):
    """S4D: a bank of damped oscillations a channel, applied as one long convolution."""

    def __init__(self, width, states=8):
        super().__init__()
        self.rate = nn.Parameter(torch.linspace(math.log(0.005), math.log(0.5), width)[:, None].repeat(1, states))
        self.frequency = nn.Parameter(math.pi * torch.arange(states).float().repeat(width, 1))
        self.amplitude = nn.Parameter(torch.randn(width, states, 2) * states**-0.5)
        self.direct = nn.Parameter(torch.ones(width))
        self.gate, self.out = dense(width, width), dense(width, width)

    def kernel(self, length, device):
        ago = torch.arange(length, device=device).view(-1, 1, 1)
        rate = torch.exp(self.rate)
        waves = self.amplitude[..., 0] * torch.cos(ago * rate * self.frequency) + self.amplitude[..., 1] * torch.sin(ago * rate * self.frequency)
        return (torch.exp(-0.5 * ago * rate) * waves * rate.sqrt()).sum(-1)

    def forward(self, x):
        mixed = long_convolution(x, self.kernel(x.shape[1], x.device)) + self.direct * x
        return self.out(functional.gelu(mixed) * torch.sigmoid(self.gate(x)))


class SelectiveState(nn.Module):
    """A simplified Mamba: a short convolution, then a memory that each input may keep or overwrite."""

    def __init__(self, width):
        super().__init__()
        self.expand, self.out = dense(width, 4 * width), dense(2 * width, width)
        self.convolution = ShortConvolution(2 * width)
        self.step = dense(2 * width, 2 * width, bias=True)
        nn.init.uniform_(self.step.bias, -4.0, 0.0)

    def forward(self, x):
        signal, gate = self.expand(x).chunk(2, dim=-1)
        signal = functional.silu(self.convolution(signal))
        step = functional.softplus(self.step(signal))
        return self.out((scan(torch.exp(-step), step * signal) + signal) * functional.silu(gate))


class Unrolled(nn.Module):
    """PyTorch's own recurrent layers."""

    def __init__(self, width, kind=nn.GRU):
        super().__init__()
        self.inner, self.out = kind(width, width, batch_first=True), dense(width, width)

    def forward(self, x):
        return self.out(self.inner(x)[0])
