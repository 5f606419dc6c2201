"""The reference: a small Llama-style decoder (RMSNorm, rotary positions, SwiGLU) that every candidate
is paired with. It goes through the same protocol as a submission."""

import torch
import torch.nn.functional as functional
from torch import nn

from prism_challenge.evaluator.interface import PrismContext, TrainingRecipe

HEAD_DIM = 16


class RMSNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


class Attention(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.heads = max(1, width // HEAD_DIM)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x, rotation, mask):
        batch, length, width = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        scores = rotate(q, rotation) @ rotate(k, rotation).transpose(-1, -2) * (width // self.heads) ** -0.5
        mixed = torch.softmax(scores + mask, dim=-1) @ v
        return self.out(mixed.transpose(1, 2).reshape(batch, length, width))


class SwiGLU(nn.Module):
    def __init__(self, width):
        super().__init__()
        hidden = (8 * width // 3 + 7) // 8 * 8
        self.gate_up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x):
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(functional.silu(gate) * up)


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm_attention, self.attention = RMSNorm(width), Attention(width)
        self.norm_mlp, self.mlp = RMSNorm(width), SwiGLU(width)

    def forward(self, x, rotation, mask):
        x = x + self.attention(self.norm_attention(x), rotation, mask)
        return x + self.mlp(self.norm_mlp(x))


class Llama(nn.Module):
    def __init__(self, ctx):
        super().__init__()
        width = ctx.d_model
        self.embed = nn.Embedding(ctx.vocab_size, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(ctx.n_layer))
        self.norm = RMSNorm(width)
        self.head = nn.Linear(width, ctx.vocab_size, bias=False)
        self.head_dim = width // max(1, width // HEAD_DIM)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5 * 0.5)
        nn.init.normal_(self.embed.weight, std=0.5)

    def forward(self, tokens):
        length = tokens.shape[1]
        rotation = rotary(length, self.head_dim, tokens.device)
        mask = torch.full((length, length), float("-inf"), device=tokens.device).triu(1)
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x, rotation, mask)
        return self.head(self.norm(x))


def rotary(length, head_dim, device):
    """Cosines and sines of the rotation at each position."""
    frequencies = 10000.0 ** (-torch.arange(0, head_dim, 2, device=device) / head_dim)
    angles = torch.arange(length, device=device)[:, None] * frequencies
    return angles.cos(), angles.sin()


def rotate(x, rotation):
    cos, sin = rotation
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.cat((even * cos - odd * sin, even * sin + odd * cos), dim=-1)


def build_model(ctx: PrismContext):
    return Llama(ctx)


def get_recipe(ctx: PrismContext):
    return TrainingRecipe(learning_rate=3e-3, batch_size=ctx.batch_size, optimizer="adamw", scheduler="constant", weight_decay=0.01)
