"""A decoder without norms whose parts triple what they read."""

from attention import Attention
from decoder import Decoder, PreNorm
from dense import dense
from feedforward import SwiGLU
from norms import Identity
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


def build_model(ctx: PrismContext):
    def block(width, layer):
        attention, mlp = Attention(width), SwiGLU(width)
        attention.out, mlp.down.weight.data = dense(width, width, scale=3.0), mlp.down.weight.data * 3.0
        return PreNorm(width, attention, mlp, norm=Identity)

    return Decoder(ctx, block, norm=Identity)
