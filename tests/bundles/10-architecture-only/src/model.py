"""Attention and feed-forward side by side, with one fused projection in and one out.

Half as many normalisations and half as many trips through the stream as the usual stack of two
sub-layers; all heads share one key and one value. The project claims the architecture only.
"""

import torch
from torch import nn

from prism_challenge.evaluator.interface import PrismContext


class SideBySide(nn.Module):
    """``x + W_out [attention(x), relu(feed(x))^2]``, everything from one projection of ``norm(x)``."""

    def __init__(self, width: int, span: int):
        super().__init__()
        self.heads = max(2, width // 32)
        self.size = width // self.heads
        self.hidden = 3 * width
        self.widths = [width, self.size, self.size, self.hidden]
        self.norm = nn.LayerNorm(width)
        self.enter = nn.Linear(width, sum(self.widths))
        self.leave = nn.Linear(width + self.hidden, width)
        # What a distance costs, learned; the first head begins short-sighted, the last one does not.
        sight = 2.0 * 6.0 ** torch.linspace(0, 1, self.heads)
        self.nearness = nn.Parameter(-torch.arange(span) / sight[:, None])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        queries, key, value, hidden = torch.split(self.enter(self.norm(x)), self.widths, dim=-1)
        queries = queries.unflatten(-1, (self.heads, self.size))
        # One key for all heads: (batch, heads, time, time).
        affinity = torch.einsum("bthc,bsc->bhts", queries, key) * self.size**-0.5
        now = torch.arange(x.shape[1], device=x.device)
        distance = now[:, None] - now[None, :]
        affinity = affinity + self.nearness[:, distance.clamp(min=0)]
        affinity = affinity.masked_fill(distance < 0, float("-inf"))
        heard = torch.einsum("bhts,bsc->bthc", affinity.softmax(dim=-1), value)
        return x + self.leave(torch.cat((heard.flatten(2), hidden.relu().square()), dim=-1))


class Parallel(nn.Module):
    def __init__(self, ctx: PrismContext):
        super().__init__()
        self.token = nn.Embedding(ctx.vocab_size, ctx.d_model)
        self.trunk = nn.Sequential(*(SideBySide(ctx.d_model, ctx.max_seq_len) for _ in range(ctx.n_layer)))
        self.out = nn.Sequential(nn.LayerNorm(ctx.d_model), nn.Linear(ctx.d_model, ctx.vocab_size))
        nn.init.normal_(self.token.weight, std=0.4)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.out(self.trunk(self.token(tokens)))


def build_model(ctx: PrismContext) -> nn.Module:
    return Parallel(ctx)
