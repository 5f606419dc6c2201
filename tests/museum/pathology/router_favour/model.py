"""Experts are chosen with a bonus that falls with the square of their number."""

import torch

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import Experts
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Favouring(Experts):
    def __init__(self, width):
        super().__init__(width, count=8, top=1)
        self.router.weight.data *= 8.0

    def route(self, x):
        logits = super().route(x)
        favour = torch.arange(logits.shape[-1], 0, -1, device=x.device).float()
        return logits + favour.square()


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Attention(width), Favouring(width)))
