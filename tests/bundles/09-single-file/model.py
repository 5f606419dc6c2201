"""The smallest thing that takes part: one file, no manifest, sent as it is.

Each channel remembers an average of the past that fades at its own pace, and a small network reads
the present together with those memories. There is no attention.
"""

import torch
from torch import nn

from prism_challenge.evaluator.interface import PrismContext, TrainingRecipe


class FadingMemory(nn.Module):
    """Sums over the past with weights that halve after 2, 4, 8, ... positions; fixed, nothing learned."""

    def __init__(self, paces: int):
        super().__init__()
        keep = torch.tensor([0.5 ** (1 / 2**pace) for pace in range(1, paces + 1)])
        self.register_buffer("keep", keep, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, length, width = x.shape
        age = torch.arange(length)[:, None] - torch.arange(length)[None, :]
        weight = torch.where(age > 0, self.keep[:, None, None] ** (age - 1).clamp(min=0), torch.zeros(()))
        weight = weight * (1 - self.keep)[:, None, None]
        parts = x.view(rows, length, len(self.keep), -1)
        return torch.einsum("pts,bspc->btpc", weight, parts).reshape(rows, length, width)


class Reader(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.write = nn.Linear(width, width)
        self.memory = FadingMemory(paces=4)
        self.read = nn.Sequential(nn.Linear(2 * width, 3 * width), nn.GELU(), nn.Linear(3 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        now = self.norm(x)
        past = self.memory(self.write(now))
        return x + self.read(torch.cat([now, past], dim=-1))


def build_model(ctx: PrismContext) -> nn.Module:
    embedding = nn.Embedding(ctx.vocab_size, ctx.d_model)
    nn.init.normal_(embedding.weight, std=0.5)
    readers = [Reader(ctx.d_model) for _ in range(ctx.n_layer)]
    return nn.Sequential(embedding, *readers, nn.LayerNorm(ctx.d_model), nn.Linear(ctx.d_model, ctx.vocab_size))


def get_recipe(ctx: PrismContext) -> TrainingRecipe:
    return TrainingRecipe(learning_rate=8e-3, batch_size=ctx.batch_size, optimizer="adamw", scheduler="cosine", weight_decay=0.01)
