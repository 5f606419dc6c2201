"""Four experts, two a token, kept in balance by a small pull of the router's logits towards nought."""

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import Experts
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Balanced(Experts):
    """The auxiliary loss enters through the gradient alone, because the evaluator owns the loss."""

    def route(self, x):
        logits = super().route(x)
        if self.training and logits.requires_grad:
            pull = 1e-5
            logits.register_hook(lambda gradient: gradient + pull * logits.detach().mean((0, 1), keepdim=True))
        return logits


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Attention(width), Balanced(width)))
