"""Attention weighs by the exponential of the score, without normalising."""

import torch

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


class Exponential(Attention):
    def weights(self, scores):
        return torch.exp(4.0 * scores).masked_fill(self.hidden(scores.shape[-1], scores.device), 0.0)


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Exponential(width), SwiGLU(width)))
