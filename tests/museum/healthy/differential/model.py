"""The difference of two softmax maps cancels what both attend to."""

import torch
from torch import nn

from attention import Attention, rotate, unit
from decoder import Decoder, PreNorm
from dense import dense
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Differential(Attention):
    def __init__(self, width):
        super().__init__(width)
        self.q2, self.k2 = dense(width, width), dense(width, width)
        self.balance = nn.Parameter(torch.zeros(self.heads, 1, 1))

    def forward(self, x):
        q, k, v = self.project(x)
        q2, k2 = (rotate(self.split(part(x), self.heads)) for part in (self.q2, self.k2))
        weights = self.weights(self.scores(q, k)) - torch.sigmoid(self.balance) * self.weights(self.scores(q2, k2))
        return self.join(0.5 * unit(weights @ v))


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Differential(width), SwiGLU(width)))
