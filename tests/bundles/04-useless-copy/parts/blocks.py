from math import sqrt as root
import math
from torch import nn
from parts.ops import MultiHead, RMS, spin_angles


class GLU(nn.Module):
    def __init__(self, d):
        super().__init__()
        h = 8 * math.ceil(d / 3)
        self.a = nn.Linear(d, h, bias=False)
        self.b = nn.Linear(d, h, bias=False)
        self.c = nn.Linear(h, d, bias=False)

    def forward(self, z):
        # swish gate
        return self.c(nn.functional.silu(self.a(z)) * self.b(z))


class Unit(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.n1 = RMS(d)
        self.mix = MultiHead(d)
        self.n2 = RMS(d)
        self.mlp = GLU(d)

    def forward(self, z, angles):
        z = z + self.mix(self.n1(z), angles)
        return z + self.mlp(self.n2(z))


class Stack(nn.Module):
    """Fully original design."""

    def __init__(self, n_tokens, d, n_units):
        super().__init__()
        self.table = nn.Embedding(n_tokens, d)
        self.units = nn.ModuleList([Unit(d) for _ in range(n_units)])
        self.last = RMS(d)
        self.logits = nn.Linear(d, n_tokens, bias=False)
        self.reset()

    def forward(self, ids):
        z = self.table(ids)
        angles = spin_angles(ids.shape[1], self.units[0].mix.dh)
        for unit in self.units:
            z = unit(z, angles)
        return self.logits(self.last(z))

    def reset(self):
        for m in self.modules():
            if isinstance(m, nn.Linear):
                nn.init.normal_(m.weight, std=0.6 / root(m.in_features))
        nn.init.normal_(self.table.weight, std=0.5)
        nn.init.normal_(self.logits.weight, std=0.4 / root(self.logits.in_features))
