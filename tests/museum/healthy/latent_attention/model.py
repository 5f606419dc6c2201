"""Keys and values through a narrow latent (MLA)."""

from attention import Attention
from decoder import Decoder, PreNorm
from dense import dense
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Latent(Attention):
    def __init__(self, width):
        super().__init__(width, rotary=False)
        self.narrow, self.kv = dense(width, width // 2, scale=1.0), dense(width // 2, 2 * width)

    def project(self, x, first=0):
        keys, values = self.kv(self.narrow(x)).chunk(2, dim=-1)
        return self.split(self.q(x), self.heads), self.split(keys, self.heads), self.split(values, self.heads)


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Latent(width), SwiGLU(width)), positions=ctx.sequence_length)
