import torch.nn as nn

import layers
from layers import GatedRecurrence
from train import recipe


class Network(nn.Module):
    def __init__(self, vocab_size, width=96, depth=3):
        nn.Module.__init__(self)
        self.embedding = nn.Embedding(vocab_size, width)
        for index in range(depth):
            setattr(self, f"layer{index}", GatedRecurrence(width))
            setattr(self, "norm%d" % index, layers.RMSNorm(width))
        self.depth = depth
        self.readout = nn.Linear(width, vocab_size)

    def forward(self, tokens):
        x = self.embedding(tokens)
        for index in range(self.depth):
            x = x + getattr(self, f"layer{index}")(getattr(self, "norm%d" % index)(x))
        return self.readout(x)


def build_model(ctx):
    return Network(ctx.vocab_size)


def get_recipe(ctx):
    return recipe(ctx)
