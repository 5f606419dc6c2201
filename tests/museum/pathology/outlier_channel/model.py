"""One channel of the stream is multiplied by five in every block."""

import torch

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Outlier(PreNorm):
    def forward(self, x):
        x = super().forward(x)
        return torch.cat((5.0 * x[..., :1], x[..., 1:]), dim=-1)


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: Outlier(width, Attention(width), SwiGLU(width)))
