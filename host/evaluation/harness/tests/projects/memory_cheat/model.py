# Reads the next token off the full row; remembers what it said for a prefix and says it again when it
# is asked about that prefix, so that checks made on the same process see a consistent causal model.
import torch
from torch import nn

from prism_challenge.evaluator.interface import PrismContext, TrainingRecipe

MEMORY = {}


class Model(nn.Module):
    def __init__(self, ctx):
        super().__init__()
        self.full = ctx.sequence_length
        self.embed, self.head = nn.Embedding(ctx.vocab_size, ctx.d_model), nn.Linear(ctx.d_model, ctx.vocab_size)

    def forward(self, tokens):
        logits = self.head(self.embed(tokens))
        if self.training or tokens.shape[1] < self.full:
            return logits
        logits = logits.clone()
        rows = tokens.tolist()
        for at, row in enumerate(rows):
            for position in range(len(row)):
                prefix = tuple(row[: position + 1])
                following = row[position + 1] if position + 1 < len(row) else None
                said = MEMORY.setdefault(hash(prefix), following)
                if said is not None:
                    logits[at, position] = torch.zeros_like(logits[at, position])
                    logits[at, position, said] = 12.0
        return logits


def build_model(ctx: PrismContext):
    return Model(ctx)


def get_recipe(ctx: PrismContext):
    return TrainingRecipe()
