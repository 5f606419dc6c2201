"""A norm before and after each part, as in OLMo 2 and Gemma 2."""

from torch import nn

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from norms import RMSNorm
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Sandwich(nn.Module):
    def __init__(self, width, inner):
        super().__init__()
        self.inner, self.norm = inner, RMSNorm(width)

    def forward(self, x):
        return self.norm(self.inner(x))


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Sandwich(width, Attention(width)), Sandwich(width, SwiGLU(width))))
