"""Learns, and falls over: no normalisation, and layers that overreact.

Every projection stores its weights many times smaller than they act, so that a step of a sensible
size moves the layer many times too far; the stream between the layers is never brought back to a
sensible size either. The loss comes down, jumps, and comes down again. The average alone hides most
of that; the spikes, the roughness of the curve and the size of the gradients do not.
"""

import math

import torch
from torch import nn

from prism_challenge.evaluator.interface import PrismContext, TrainingRecipe

OVERREACTION = 20.0


class Nervous(nn.Module):
    """A projection whose weights act ``OVERREACTION`` times as strongly as they are stored."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs) / (OVERREACTION * math.sqrt(inputs)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ (OVERREACTION * self.weight)


class Restless(nn.Module):
    """Attention and a squared feed-forward, both added to the stream as they come."""

    def __init__(self, width: int):
        super().__init__()
        self.scale = width**-0.5
        self.gather = Nervous(width, 3 * width)
        self.widen, self.narrow = Nervous(width, 2 * width), Nervous(2 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = self.gather(x).chunk(3, dim=-1)
        heat = self.scale * torch.matmul(query, key.transpose(1, 2))
        past = torch.ones_like(heat[0]).tril().bool()
        x = x + torch.softmax(heat.masked_fill(~past, -1e9), dim=-1) @ value
        return x + self.narrow(torch.relu(self.widen(x)))


class Unsteady(nn.Module):
    def __init__(self, ctx: PrismContext):
        super().__init__()
        self.enter = nn.Embedding(ctx.vocab_size, ctx.d_model)
        self.body = nn.Sequential(*[Restless(ctx.d_model) for _ in range(ctx.n_layer)])
        self.leave = nn.Linear(ctx.d_model, ctx.vocab_size)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.leave(self.body(self.enter(tokens)))


def build_model(ctx: PrismContext) -> nn.Module:
    return Unsteady(ctx)


def get_recipe(ctx: PrismContext) -> TrainingRecipe:
    return TrainingRecipe(learning_rate=4e-3, batch_size=ctx.batch_size, optimizer="adamw", scheduler="constant", weight_decay=0.0)
