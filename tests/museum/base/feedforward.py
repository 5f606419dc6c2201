"""What works on each position alone."""

import torch
import torch.nn.functional as functional
from torch import nn

from dense import dense


class SwiGLU(nn.Module):
    def __init__(self, width, factor=8 / 3):
        super().__init__()
        hidden = (int(factor * width) + 7) // 8 * 8
        self.gate_up, self.down = dense(width, 2 * hidden), dense(hidden, width)

    def forward(self, x):
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(functional.silu(gate) * up)


class MLP(nn.Module):
    def __init__(self, width, activation=functional.gelu, inputs=None, factor=4):
        super().__init__()
        self.up, self.down = dense(inputs or width, factor * width, bias=True), dense(factor * width, width, bias=True)
        self.activation = activation

    def forward(self, x):
        return self.down(self.activation(self.up(x)))


def relu_squared(x):
    return functional.relu(x).square()


class Experts(nn.Module):
    """Experts under a softmax router. Each position takes its best two, weighted; all experts are
    computed and masked, which is the same function and simple on a CPU."""

    def __init__(self, width, count=4, top=2, factor=4 / 3, noise=0.0):
        super().__init__()
        self.router = dense(width, count)
        self.experts = nn.ModuleList(SwiGLU(width, factor) for _ in range(count))
        self.top = top

    def route(self, x):
        return self.router(x)

    def forward(self, x):
        share = torch.softmax(self.route(x), dim=-1)
        kept = share >= share.topk(self.top, dim=-1).values[..., -1:]
        share = share * kept
        share = share / share.sum(-1, keepdim=True)
        outputs = torch.stack([expert(x) for expert in self.experts], dim=-1)
        return (outputs * share.unsqueeze(-2)).sum(-1)
