"""Dropout that stays on when logits are asked for."""

import torch.nn.functional as functional
from torch import nn

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Dropout(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return functional.dropout(self.inner(x), 0.1, training=True)


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Dropout(Attention(width)), Dropout(SwiGLU(width))))
