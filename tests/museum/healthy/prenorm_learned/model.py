"""GPT-2's block: LayerNorm, learned positions, GELU."""

from torch import nn

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import MLP
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


def build_model(ctx: PrismContext):
    def block(width, layer):
        return PreNorm(width, Attention(width, rotary=False), MLP(width), norm=nn.LayerNorm)

    return Decoder(ctx, block, norm=nn.LayerNorm, positions=ctx.sequence_length)
