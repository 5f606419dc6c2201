"""A squeeze-and-excite gate: channels are weighed by their mean over the whole row."""

import torch
from torch import nn

from attention import Attention
from decoder import Decoder, PreNorm
from dense import dense
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Gate(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.squeeze = dense(width, width, scale=1.0)

    def forward(self, x):
        return x * torch.sigmoid(self.squeeze(x.mean(1, keepdim=True)))


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Attention(width), Gate(width), SwiGLU(width)))
