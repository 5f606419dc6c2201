# A transformer with a cache of keys and values: its hook reads one token at a time.
import torch
from torch import nn

from prism_challenge.evaluator.interface import PrismContext, TrainingRecipe


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.heads = heads

    def forward(self, x, mask, past=None):
        b, t, c = x.shape
        q, k, v = (p.view(b, t, self.heads, -1).transpose(1, 2) for p in self.qkv(self.norm1(x)).chunk(3, -1))
        if past is not None:
            k, v = torch.cat((past[0], k), 2), torch.cat((past[1], v), 2)
        self.kept = (k.detach(), v.detach())
        scores = q @ k.transpose(-1, -2) / (c // self.heads) ** 0.5
        mixed = scores.masked_fill(mask, float("-inf")).softmax(-1) @ v
        x = x + self.out(mixed.transpose(1, 2).reshape(b, t, c))
        return x + self.down(torch.nn.functional.gelu(self.up(self.norm2(x))))


class Model(nn.Module):
    def __init__(self, ctx):
        super().__init__()
        self.embed = nn.Embedding(ctx.vocab_size, ctx.d_model)
        self.position = nn.Parameter(torch.randn(ctx.sequence_length, ctx.d_model) * 0.1)
        self.blocks = nn.ModuleList(Block(ctx.d_model, max(1, ctx.d_model // 16)) for _ in range(ctx.n_layer))
        self.norm, self.head = nn.LayerNorm(ctx.d_model), nn.Linear(ctx.d_model, ctx.vocab_size)
        nn.init.normal_(self.embed.weight, std=0.3)

    def forward(self, tokens):
        return self.extend(tokens, None)[0]

    def extend(self, tokens, state):
        """Logits of `tokens` after those whose keys and values are in `state`, and the state with them."""
        seen, length = 0 if state is None else state[0][0].shape[2], tokens.shape[1]
        mask = torch.ones(length, seen + length, dtype=torch.bool).triu(seen + 1)
        x = self.embed(tokens) + self.position[seen : seen + length]
        kept = []
        for at, block in enumerate(self.blocks):
            x = block(x, mask, None if state is None else state[at])
            kept.append(block.kept)
        return self.head(self.norm(x)), kept


def build_model(ctx: PrismContext):
    return Model(ctx)


def get_recipe(ctx: PrismContext):
    return TrainingRecipe(learning_rate=0.002, batch_size=8)


def inference_logits(model, batch, ctx, state=None):
    return model.extend(batch.tokens, state)
