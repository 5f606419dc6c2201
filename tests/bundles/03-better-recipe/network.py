"""The network of `01-rotary-transformer`, unchanged. This project is about how it is trained."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from prism_challenge.evaluator.interface import PrismContext

HEAD_WIDTH = 16
ROTARY_BASE = 10_000.0


class ScaleNorm(nn.Module):
    """Brings every position to unit root mean square and learns a gain per channel."""

    def __init__(self, width: int):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.gain * x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + 1e-6)


def rotary_table(length: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosine and sine of each position's angles, shape ``(length, width / 2)``."""
    speed = torch.exp(torch.arange(0, width, 2) * (-math.log(ROTARY_BASE) / width))
    angle = torch.arange(length).unsqueeze(1) * speed
    return torch.cos(angle), torch.sin(angle)


def turn(x: torch.Tensor, table: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Rotates pairs of channels by the angles of their position."""
    cos, sin = table
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


class CausalAttention(nn.Module):
    """Multi-head attention to earlier positions, with rotary positions.

    A key tells of its own token and of the one before, so that a head can ask for "what came after
    this" in a single layer.
    """

    def __init__(self, width: int):
        super().__init__()
        self.heads = max(1, width // HEAD_WIDTH)
        self.head_width = width // self.heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.merge = nn.Linear(width, width, bias=False)

    def split(self, x: torch.Tensor) -> torch.Tensor:
        rows, length, _ = x.shape
        return x.view(rows, length, self.heads, self.head_width).transpose(1, 2)

    def forward(self, x: torch.Tensor, table: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        before = F.pad(x, (0, 0, 1, -1))
        query = turn(self.split(self.query(x)), table)
        key = turn(self.split(self.key(x + before)), table)
        value = self.split(self.value(x))
        length = x.shape[1]
        # The mask is what keeps the model honest: position i sees positions 0..i.
        later = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(diagonal=1)
        scores = query @ key.transpose(-2, -1) / math.sqrt(self.head_width)
        weights = F.softmax(scores.masked_fill(later, float("-inf")), dim=-1)
        mixed = (weights @ value).transpose(1, 2)
        return self.merge(mixed.reshape(x.shape))


class GatedFeedForward(nn.Module):
    """Two projections up, one of them a gate, and one down."""

    def __init__(self, width: int):
        super().__init__()
        hidden = 8 * math.ceil(width / 3)
        self.gate = nn.Linear(width, hidden, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Layer(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.attention_norm = ScaleNorm(width)
        self.attention = CausalAttention(width)
        self.feed_norm = ScaleNorm(width)
        self.feed = GatedFeedForward(width)

    def forward(self, x: torch.Tensor, table: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        x = x + self.attention(self.attention_norm(x), table)
        return x + self.feed(self.feed_norm(x))


class RotaryTransformer(nn.Module):
    def __init__(self, vocabulary: int, width: int, depth: int):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.layers = nn.ModuleList([Layer(width) for _ in range(depth)])
        self.final_norm = ScaleNorm(width)
        self.unembedding = nn.Linear(width, vocabulary, bias=False)
        self.initialise()

    def initialise(self) -> None:
        """Small, scaled weights: the untrained model should be unsure, not wrong."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.6 / math.sqrt(module.in_features))
        nn.init.normal_(self.embedding.weight, std=0.5)
        nn.init.normal_(self.unembedding.weight, std=0.4 / math.sqrt(self.unembedding.in_features))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embedding(tokens)
        table = rotary_table(tokens.shape[1], self.layers[0].attention.head_width)
        for layer in self.layers:
            x = layer(x, table)
        return self.unembedding(self.final_norm(x))


def build_model(ctx: PrismContext) -> nn.Module:
    return RotaryTransformer(ctx.vocab_size, ctx.d_model, ctx.n_layer)
