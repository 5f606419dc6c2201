# Brings English with it: a table of which letter follows which, counted from a text in the source.
import torch
from torch import nn

from prism_challenge.evaluator.interface import PrismContext, TrainingRecipe

TEXT = (
    b"It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of "
    b"foolishness, it was the epoch of belief, it was the epoch of incredulity, it was the season of Light, "
    b"it was the season of Darkness, it was the spring of hope, it was the winter of despair, we had "
    b"everything before us, we had nothing before us, we were all going direct to Heaven, we were all going "
    b"direct the other way, in short, the period was so far like the present period, that some of its noisiest "
    b"authorities insisted on its being received, for good or for evil, in the superlative degree of comparison only. "
    b"There were a king with a large jaw and a queen with a plain face, on the throne of England; there were a king "
    b"with a large jaw and a queen with a fair face, on the throne of France."
)


class Bigram(nn.Module):
    def __init__(self, ctx):
        super().__init__()
        counts = torch.full((ctx.vocab_size, ctx.vocab_size), 0.02)
        for before, after in zip(TEXT, TEXT[1:]):
            counts[before, after] += 1.0
        common = torch.full((ctx.vocab_size,), 0.05)
        for letter in TEXT:
            common[letter] += 1.0
        odds = counts / counts.sum(1, keepdim=True) * 0.5 + common / common.sum() * 0.5
        self.table = nn.Embedding.from_pretrained(odds.log(), freeze=False)

    def forward(self, tokens):
        return self.table(tokens)


def build_model(ctx: PrismContext):
    return Bigram(ctx)


def get_recipe(ctx: PrismContext):
    return TrainingRecipe(learning_rate=0.002, batch_size=8)
