"""Causal self-attention whose steps (project, score, mask, weigh) can be replaced one at a time."""

import torch
from torch import nn

from dense import dense

HEAD_DIM = 16


def rotate(x, first=0):
    """Rotary positions, counted from `first`, on (batch, heads, length, size)."""
    length, size = x.shape[-2:]
    frequencies = 10000.0 ** (-torch.arange(0, size, 2, device=x.device) / size)
    angles = (torch.arange(length, device=x.device) + first)[:, None] * frequencies
    cos, sin = angles.cos(), angles.sin()
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.cat((even * cos - odd * sin, even * sin + odd * cos), dim=-1)


def distances(length, device):
    """How far back (row, column) looks: 0 for the position itself, negative for the future."""
    steps = torch.arange(length, device=device)
    return steps[:, None] - steps[None, :]


def unit(x):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)


class Attention(nn.Module):
    def __init__(self, width, kv_heads=None, rotary=True, qk_norm=False, window=None):
        super().__init__()
        self.heads = max(1, width // HEAD_DIM)
        self.size = width // self.heads
        self.kv_heads = self.heads if kv_heads is None else min(kv_heads, self.heads)
        self.rotary, self.qk_norm, self.window = rotary, qk_norm, window
        self.q = dense(width, width)
        self.kv = dense(width, 2 * self.kv_heads * self.size)
        self.out = dense(width, width)

    def split(self, x, heads):
        batch, length, _ = x.shape
        return x.reshape(batch, length, heads, -1).transpose(1, 2)

    def project(self, x, first=0):
        """Queries, keys and values, (batch, heads, length, size) each."""
        keys, values = self.kv(x).chunk(2, dim=-1)
        q, k, v = self.split(self.q(x), self.heads), self.split(keys, self.kv_heads), self.split(values, self.kv_heads)
        if self.qk_norm:
            q, k = unit(q), unit(k)
        if self.rotary:
            q, k = rotate(q, first), rotate(k, first)
        return q, self.share(k), self.share(v)

    def share(self, x):
        return x if self.kv_heads == self.heads else x.repeat_interleave(self.heads // self.kv_heads, dim=1)

    def scores(self, q, k):
        return q @ k.transpose(-1, -2) * self.size**-0.5

    def hidden(self, length, device):
        """True where a position may not look."""
        back = distances(length, device)
        return back < 0 if self.window is None else (back < 0) | (back >= self.window)

    def weights(self, scores):
        return torch.softmax(scores.masked_fill(self.hidden(scores.shape[-1], scores.device), float("-inf")), dim=-1)

    def join(self, mixed):
        return self.out(mixed.transpose(1, 2).flatten(2))

    def forward(self, x):
        q, k, v = self.project(x)
        return self.join(self.weights(self.scores(q, k)) @ v)
