"""Softmax attention with a forget gate that depends on the data (FoX)."""

import torch
import torch.nn.functional as functional
from torch import nn

from attention import Attention
from decoder import Decoder, PreNorm
from dense import dense
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Forgetting(Attention):
    def __init__(self, width):
        super().__init__(width, rotary=False)
        self.forget = dense(width, self.heads, bias=True)
        nn.init.constant_(self.forget.bias, 3.0)

    def forward(self, x):
        q, k, v = self.project(x)
        kept = functional.logsigmoid(self.forget(x)).cumsum(1).transpose(1, 2)
        return self.join(self.weights(self.scores(q, k) + kept.unsqueeze(-1) - kept.unsqueeze(-2)) @ v)


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Forgetting(width), SwiGLU(width)))
