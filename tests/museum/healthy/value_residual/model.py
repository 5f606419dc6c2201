"""Later blocks mix the first block's values into their own."""

import torch
from torch import nn

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Mixed(Attention):
    def __init__(self, width):
        super().__init__(width)
        self.share_of_first = nn.Parameter(torch.tensor(0.5))

    def forward(self, x, first=None):
        q, k, v = self.project(x)
        mixed = v if first is None else torch.lerp(v, first, self.share_of_first)
        return self.join(self.weights(self.scores(q, k)) @ mixed), v


class Block(PreNorm):
    def forward(self, x, first=None):
        attention, mlp = self.parts
        added, values = attention(self.norms[0](x), first)
        x = x + added
        return x + mlp(self.norms[1](x)), values if first is None else first


class ValueResidual(Decoder):
    def forward(self, tokens):
        x, first = self.start(tokens), None
        for block in self.blocks:
            x, first = block(x, first)
        return self.head(self.norm(x))


def build_model(ctx: PrismContext):
    return ValueResidual(ctx, lambda width, layer: Block(width, Mixed(width), SwiGLU(width)))
