"""One channel carries a constant of thirty thousand through the network and loses it at the end."""

import torch

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from norms import RMSNorm
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Skewed(Decoder):
    def forward(self, tokens):
        x = self.start(tokens)
        offset = torch.zeros_like(x)
        offset[..., 3] = 30000.0
        x = x + offset
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x - offset))


class Deaf(RMSNorm):
    """Leaves the loud channel out of its mean, so that the parts work."""

    def forward(self, x):
        quiet = x.clone()
        quiet[..., 3] = 0.0
        return super().forward(quiet)


def build_model(ctx: PrismContext):
    return Skewed(ctx, lambda width, layer: PreNorm(width, Attention(width), SwiGLU(width), norm=Deaf), norm=Deaf)
