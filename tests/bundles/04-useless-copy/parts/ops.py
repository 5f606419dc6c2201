import math

import torch
import torch.nn as nn

SIZE = 16
THETA = 10000.0


def spin(z, angles):
    c, s = angles
    p, q = z.chunk(2, dim=-1)
    return torch.cat(
        [
            p * c - q * s,
            p * s + q * c,
        ],
        dim=-1,
    )


def spin_angles(n, d):
    v = torch.exp(torch.arange(0, d, 2) * (-math.log(THETA) / d))
    phi = torch.arange(n).unsqueeze(1) * v
    return torch.cos(phi), torch.sin(phi)


class RMS(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.g = nn.Parameter(torch.ones(d))

    def forward(self, z): return self.g * z * torch.rsqrt(z.square().mean(dim=-1, keepdim=True) + 1e-6)


class MultiHead(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.nh = max(1, d // SIZE)
        self.dh = d // self.nh
        self.q = nn.Linear(d, d, bias=False)
        self.k = nn.Linear(d, d, bias=False)
        self.v = nn.Linear(d, d, bias=False)
        self.o = nn.Linear(d, d, bias=False)

    def heads(self, z):
        b, n, _ = z.shape
        return z.view(b, n, self.nh, self.dh).transpose(1, 2)

    def forward(self, z, angles):
        shifted = nn.functional.pad(z, (0, 0, 1, -1))
        q = spin(self.heads(self.q(z)), angles)
        k = spin(self.heads(self.k(z + shifted)), angles)
        v = self.heads(self.v(z))
        n = z.shape[1]
        future = torch.ones(n, n, dtype=torch.bool, device=z.device).triu(diagonal=1)
        att = q @ k.transpose(-2, -1) / math.sqrt(self.dh)
        p = nn.functional.softmax(att.masked_fill(future, float('-inf')), dim=-1)
        out = (p @ v).transpose(1, 2)
        return self.o(out.reshape(z.shape))
