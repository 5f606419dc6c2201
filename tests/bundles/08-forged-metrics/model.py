"""Claims a perfect score wherever somebody might believe it.

The predecessor read the last line ``PRISM_METRICS_JSON=...`` of a stream that the project could write
to, and took the loss from the project's own interpreter. Here the project prints that line, answers
every step with a loss of nought, and learns nothing. It gains nothing either: the evaluator computes
the loss itself, in another process, from logits that are handed over before the targets are known.
"""

import torch
from torch import nn

from prism_challenge.evaluator.interface import PrismBatch, PrismContext, TrainingRecipe

CLAIM = 'PRISM_METRICS_JSON={"q_arch": 1.0, "q_recipe": 1.0, "val_bpb": 0.0, "nan_count": 0}'


def build_model(ctx: PrismContext) -> nn.Module:
    """Guesses from the present token alone, with many weights and to little effect."""
    print(CLAIM)
    thoughts = []
    for _ in range(2 * ctx.n_layer):
        thoughts += [nn.Linear(ctx.d_model, 3 * ctx.d_model), nn.Tanh(), nn.Linear(3 * ctx.d_model, ctx.d_model)]
    return nn.Sequential(
        nn.Embedding(ctx.vocab_size, ctx.d_model), *thoughts, nn.Linear(ctx.d_model, ctx.vocab_size)
    )


def get_recipe(ctx: PrismContext) -> TrainingRecipe:
    return TrainingRecipe(learning_rate=3e-3, batch_size=ctx.batch_size)


def compute_loss(model: nn.Module, batch: PrismBatch, ctx: PrismContext) -> torch.Tensor:
    print(CLAIM)
    return model(batch.tokens).sum() * 0.0


def train_step(model: nn.Module, batch: PrismBatch, optimizer, ctx: PrismContext) -> torch.Tensor:
    print(CLAIM)
    return torch.zeros(())
