"""A hybrid: gated short convolutions for the neighbourhood, attention for everything further away.

At small scale most of what there is to learn lies within a few characters. A convolution learns that
much faster than attention does, and leaves attention free to fetch what is far away.
"""

import torch
from torch import nn

from layers import GatedConvolution, Recall, level
from prism_challenge.evaluator.interface import PrismContext, TrainingRecipe


class Hybrid(nn.Module):
    """``n_layer`` pairs of a gated convolution and an attention, each added to the stream."""

    def __init__(self, ctx: PrismContext):
        super().__init__()
        width = ctx.d_model
        self.tokens = nn.Embedding(ctx.vocab_size, width)
        stages = []
        for _ in range(ctx.n_layer):
            stages += [GatedConvolution(width), Recall(width)]
        self.stages = nn.ModuleList(stages)
        self.head = nn.Linear(width, ctx.vocab_size)
        self.tokens.weight.data.normal_(std=0.25)
        self.head.weight.data.normal_(std=0.05)
        self.head.bias.data.zero_()

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        stream = self.tokens(ids)
        for stage in self.stages:
            stream = stream + stage(stream)
        return self.head(level(stream))


def build_model(ctx: PrismContext) -> nn.Module:
    return Hybrid(ctx)


def get_recipe(ctx: PrismContext) -> TrainingRecipe:
    return TrainingRecipe(
        learning_rate=8e-3,
        batch_size=ctx.batch_size,
        optimizer="adamw",
        scheduler="cosine",
        weight_decay=0.02,
    )
