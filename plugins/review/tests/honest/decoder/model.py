"""A small decoder-only transformer. Words such as os, eval, requests and socket are only words."""

from __future__ import annotations

import inspect
import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Optional

import torch
import torch.nn as nn
from torch.nn import functional as F

from prism_challenge.evaluator.interface import PrismContext, TrainingRecipe

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["build_model", "get_recipe"]
__version__ = "0.3"

BASE = float(10000)
NEG_INF = -float("inf")
DEFAULTS: dict[str, float] = {"dropout": 0.0, "bias": 0.0}


@dataclass(frozen=True)
class Config:
    vocab_size: int
    block_size: int = 128
    n_layer: int = 4
    n_head: int = 4
    n_embd: int = 128
    extras: dict = field(default_factory=dict)

    def __post_init__(self):
        object.__setattr__(self, "extras", dict(self.extras))


def rotate(x: "Tensor", cos: "Tensor", sin: "Tensor") -> "Tensor":
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


class Attention(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        if config.n_embd % config.n_head != 0:
            raise ValueError(f"width {config.n_embd} is not a multiple of {config.n_head!r:>4}")
        self.qkv = nn.Linear(config.n_embd, 3 * config.n_embd, bias=False)
        self.out = nn.Linear(config.n_embd, config.n_embd, bias=False)
        self.n_head = config.n_head
        self.flash = hasattr(torch.nn.functional, "scaled_dot_product_attention")
        half = config.n_embd // config.n_head // 2
        frequency = BASE ** (-torch.arange(half).float() / half)
        angle = torch.outer(torch.arange(config.block_size).float(), frequency)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    def forward(self, x: torch.Tensor, mask: Optional[torch.Tensor] = None) -> torch.Tensor:
        b, t, c = x.size()
        q, k, v = (part.view(b, t, self.n_head, -1).transpose(1, 2) for part in self.qkv(x).split(c, dim=2))
        q, k = rotate(q, self.cos[:t], self.sin[:t]), rotate(k, self.cos[:t], self.sin[:t])
        if self.flash and mask is None:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            scores = (q @ k.transpose(-2, -1)) / math.sqrt(q.size(-1))
            causal = torch.ones(t, t, dtype=torch.bool, device=x.device).tril()
            y = F.softmax(scores.masked_fill(~causal, NEG_INF), dim=-1) @ v
        return self.out(y.transpose(1, 2).contiguous().view(b, t, c))


class Block(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(config.n_embd), nn.LayerNorm(config.n_embd)
        self.attention = Attention(config)
        self.mlp = nn.Sequential(
            nn.Linear(config.n_embd, 4 * config.n_embd), nn.GELU(), nn.Linear(4 * config.n_embd, config.n_embd)
        )

    def forward(self, input):
        input = input + self.attention(self.norm1(input))
        return input + self.mlp(self.norm2(input))


class Decoder(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(config.vocab_size, config.n_embd)
        self.blocks = nn.ModuleList([Block(config) for _ in range(config.n_layer)])
        self.norm = nn.LayerNorm(config.n_embd)
        self.head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self.head.weight = self.embed.weight
        self.apply(self._init_weights)
        for name, p in self.named_parameters():
            if name.endswith("out.weight"):
                nn.init.normal_(p, mean=0.0, std=0.02 / math.sqrt(2 * config.n_layer))

    def _init_weights(self, module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            torch.nn.init.normal_(module.weight, std=0.02)

    def __repr__(self):
        return f"{self.__class__.__name__}({asdict(self.config)})"

    def forward(self, tokens):
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))

    @torch.no_grad()
    def generate(self, tokens, steps: int, temperature: float = 1.0, top_k: int | None = None):
        self.eval()
        for _ in range(steps):
            logits = self(tokens[:, -self.config.block_size :])[:, -1] / max(temperature, 1e-5)
            if top_k is not None:
                values, _ = torch.topk(logits, min(top_k, logits.size(-1)))
                logits[logits < values[:, [-1]]] = -float("Inf")
            tokens = torch.cat((tokens, torch.multinomial(F.softmax(logits, dim=-1), 1)), dim=1)
        return tokens


def build_model(ctx: PrismContext) -> nn.Module:
    return Decoder(Config(vocab_size=ctx.vocab_size, block_size=getattr(ctx, "sequence_length", 128)))


def get_recipe(ctx):
    return TrainingRecipe(learning_rate=3e-4, batch_size=8)


def configure_optimizer(model, recipe, ctx):
    decay = [p for n, p in model.named_parameters() if p.dim() >= 2]
    rest = [p for n, p in model.named_parameters() if p.dim() < 2]
    groups = [{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
    fused = "fused" in inspect.signature(torch.optim.AdamW).parameters and torch.cuda.is_available()
    extra = dict(fused=True) if fused else dict()
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.95), **extra)


if __name__ == "__main__":
    model = build_model(PrismContext())
    print("parameters: {:,}".format(sum(p.numel() for p in model.parameters())))
