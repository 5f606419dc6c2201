"""What keeps activations in range."""

import torch
from torch import nn


class RMSNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


class DynamicTanh(nn.Module):
    """A learned squashing in place of a norm (DyT)."""

    def __init__(self, width):
        super().__init__()
        self.alpha = nn.Parameter(torch.full((1,), 0.8))
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x):
        return torch.tanh(self.alpha * x) * self.weight + self.bias


class Identity(nn.Module):
    """No norm at all."""

    def __init__(self, width):
        super().__init__()

    def forward(self, x):
        return x
