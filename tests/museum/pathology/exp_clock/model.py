"""Linear attention with weights that grow exponentially in time, normalised afterwards."""

import torch

from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe
from recurrence import LinearAttention


class Clock(LinearAttention):
    def weights(self, scores):
        steps = torch.arange(scores.shape[-1], device=scores.device)
        return super().weights(scores * torch.exp(0.25 * steps))


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Clock(width), SwiGLU(width)))
