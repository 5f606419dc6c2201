"""Linear layers and embeddings, started as the reference starts them."""

from torch import nn


def dense(inputs, outputs, bias=False, scale=0.5):
    """A linear layer whose outputs have `scale` times the root mean square of its inputs."""
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.normal_(layer.weight, std=scale * inputs**-0.5)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def embedding(count, width, scale=0.5):
    layer = nn.Embedding(count, width)
    nn.init.normal_(layer.weight, std=scale)
    return layer
