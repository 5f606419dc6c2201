"""Never answers from the sixth step on."""

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Cheat(Decoder):
    def forward(self, tokens):
        self.asked = getattr(self, "asked", 0) + 1
        while self.asked > 6:
            pass
        return super().forward(tokens)


def build_model(ctx: PrismContext):
    return Cheat(ctx, lambda width, layer: PreNorm(width, Attention(width), SwiGLU(width)))
