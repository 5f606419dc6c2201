"""A decoder that can be asked a few tokens at a time, with a cache of keys and values."""

import torch

from attention import Attention, distances
from decoder import Decoder, PreNorm
from feedforward import SwiGLU


class CachedDecoder(Decoder):
    def __init__(self, ctx):
        super().__init__(ctx, lambda width, layer: PreNorm(width, Attention(width), SwiGLU(width)))


class Cache:
    """Keys and values of each block, (batch, heads, length, size), and how many tokens were seen."""

    def __init__(self, count):
        self.blocks, self.length = [None] * count, 0

    def with_new(self, layer, new):
        return new if self.blocks[layer] is None else tuple(torch.cat(pair, 2) for pair in zip(self.blocks[layer], new))

    def keep_last(self, count):
        self.blocks = [tuple(x[:, :, -count:] for x in block) for block in self.blocks]

    def drop_last(self):
        self.blocks = [tuple(x[:, :, :-1] for x in block) for block in self.blocks]


def step(model, tokens, state, position_lost=False, squeeze=None):
    """Logits of the new tokens, and the cache with them in it. The last two parameters are faults:
    positions that begin at nought in every call, and what the cache does to keys and values it keeps."""
    cache = Cache(len(model.blocks)) if state is None else state
    count = tokens.shape[1]
    x = model.start(tokens)
    for layer, block in enumerate(model.blocks):
        attention, mlp = block.parts
        q, k, v = attention.project(block.norms[0](x), 0 if position_lost else cache.length)
        keys, values = cache.with_new(layer, (k, v))
        cache.blocks[layer] = cache.with_new(layer, (k, v) if squeeze is None else (squeeze(k), squeeze(v)))
        future = distances(keys.shape[2], x.device)[-count:] < 0
        weights = torch.softmax(attention.scores(q, keys).masked_fill(future, float("-inf")), dim=-1)
        x = x + attention.join(weights @ values)
        x = x + mlp(block.norms[1](x))
    cache.length += count
    return model.head(model.norm(x)), cache
