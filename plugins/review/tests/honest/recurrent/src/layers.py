# A gated linear recurrence, scanned in chunks.
import torch
from torch import nn


class GatedRecurrence(nn.Module):
    """h[t] = a[t] * h[t-1] + (1 - a[t]) * x[t]"""

    __constants__ = ["width"]

    def __init__(self, width: int, expand: int = 2, conv: int = 4):
        super(GatedRecurrence, self).__init__()
        self.width = width * expand
        self.project = nn.Linear(width, 2 * self.width)
        self.conv = nn.Conv1d(self.width, self.width, conv, groups=self.width, padding=conv - 1)
        self.gate = nn.Linear(self.width, self.width)
        self.decay = nn.Parameter(torch.linspace(0.5, 4.0, self.width))
        self.output = nn.Linear(self.width, width)

    def scan(self, a, x):
        hidden = torch.zeros_like(x[:, 0])
        states = []
        for step in range(x.shape[1]):
            hidden = a[:, step] * hidden + (1 - a[:, step]) * x[:, step]
            states.append(hidden)
        return torch.stack(states, dim=1)

    def forward(self, x):
        value, gate = self.project(x).chunk(2, dim=-1)
        value = self.conv(value.transpose(1, 2))[..., : x.shape[1]].transpose(1, 2)
        a = torch.exp(-nn.functional.softplus(self.decay) * torch.sigmoid(self.gate(value)))
        return self.output(self.scan(a, value) * nn.functional.silu(gate))

    def extra_repr(self):
        return "width={width}".format(width=self.width)


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight
