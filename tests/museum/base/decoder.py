"""The frame that most models share: embedding, blocks, a last norm, a head."""

import torch
from torch import nn

from dense import dense, embedding
from norms import RMSNorm


class Decoder(nn.Module):
    """`block(width, layer)` makes one of `ctx.n_layer` blocks; `positions` are learned, or 0 for none."""

    def __init__(self, ctx, block, norm=RMSNorm, positions=0, tied=False):
        super().__init__()
        width = ctx.d_model
        self.embed = embedding(ctx.vocab_size, width, 0.5 * width**-0.5 if tied else 0.5)
        self.position = nn.Parameter(torch.randn(positions, width) * 0.1) if positions else None
        self.blocks = nn.ModuleList(block(width, layer) for layer in range(ctx.n_layer))
        self.norm = norm(width)
        self.head = dense(width, ctx.vocab_size)
        if tied:
            self.head.weight = self.embed.weight

    def start(self, tokens):
        x = self.embed(tokens)
        return x if self.position is None else x + self.position[: tokens.shape[1]]

    def forward(self, tokens):
        x = self.start(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class PreNorm(nn.Module):
    """A residual block: each part reads the normalised stream and adds to it."""

    def __init__(self, width, *parts, norm=RMSNorm):
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.norms = nn.ModuleList(norm(width) for _ in parts)

    def forward(self, x):
        for norm, part in zip(self.norms, self.parts):
            x = x + part(norm(x))
        return x


class PostNorm(nn.Module):
    """The order of the first transformer: the norm after the addition."""

    def __init__(self, width, *parts, norm=nn.LayerNorm):
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.norms = nn.ModuleList(norm(width) for _ in parts)

    def forward(self, x):
        for norm, part in zip(self.norms, self.parts):
            x = norm(x + part(x))
        return x
