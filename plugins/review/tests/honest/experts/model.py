"""Mixture of experts with a straight-through router."""
import math
import operator
import random
from contextlib import nullcontext
from functools import cached_property, lru_cache, reduce

import torch
import torch.utils.checkpoint as checkpointing
from torch import nn
from torch.autograd import Function
from torch.distributions import Categorical
from torch.nn import Parameter, init
from torch.utils.checkpoint import checkpoint

from prism_challenge.evaluator.interface import PrismBatch, TrainingRecipe


class StraightThrough(Function):
    @staticmethod
    def forward(ctx, scores):
        ctx.save_for_backward(scores)
        return torch.zeros_like(scores).scatter_(-1, scores.argmax(-1, keepdim=True), 1.0)

    @staticmethod
    def backward(ctx, grad):
        (scores,) = ctx.saved_tensors
        return grad * scores.softmax(-1)


@lru_cache(maxsize=None)
def capacity(tokens: int, experts: int) -> int:
    return math.ceil(tokens / experts)


class Expert(nn.Module):
    def __init__(self, d, hidden):
        super().__init__()
        self.w1 = Parameter(torch.empty(d, hidden))
        self.w2 = Parameter(torch.empty(hidden, d))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        init.xavier_uniform_(self.w1)
        init.zeros_(self.w2)

    def forward(self, x):
        return torch.einsum("...d,dh->...h", x, self.w1).relu().square() @ self.w2


class Experts(nn.Module):
    def __init__(self, d, count=4):
        super().__init__()
        self.router = nn.Linear(d, count, bias=False)
        self.experts = nn.ModuleDict({f"e{i}": Expert(d, 2 * d) for i in range(count)})
        self.register_buffer("load", torch.zeros(count))

    def forward(self, x):
        scores = self.router(x)
        gate = StraightThrough.apply(scores)
        if self.training:
            entropy = Categorical(logits=scores).entropy()
            self.load.mul_(0.9).add_(gate.flatten(0, -2).mean(0).detach(), alpha=0.1)
            gate = gate + 0.0 * entropy.mean()
        outputs = [gate[..., i : i + 1] * expert(x) for i, expert in enumerate(self.experts.values())]
        return reduce(operator.add, outputs)


class Layer(nn.TransformerEncoderLayer):
    def __init__(self, d, heads):
        super().__init__(d, heads, dim_feedforward=d, batch_first=True, norm_first=True, dropout=0.0)
        self.moe = Experts(d)

    def _ff_block(self, x):
        return self.moe(x)


class Net(nn.Module):
    def __init__(self, vocab, d=64, layers=2, seed=0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.table = nn.Parameter(torch.randn(vocab, d, generator=generator) * 0.02)
        self.layers = nn.ModuleList(Layer(d, 4) for _ in range(layers))
        self.order = random.Random(seed).sample(range(layers), layers)
        self.remat = False

    @cached_property
    def scale(self):
        return self.table.shape[1] ** -0.5

    def state(self):
        return {k: v for k, v in self.state_dict().items() if not k.startswith("_")}

    def forward(self, tokens):
        x = nn.functional.embedding(tokens, self.table)
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1]).to(x.device)
        for layer in self.layers:
            if self.remat and x.requires_grad:
                x = checkpoint(layer, x, mask, use_reentrant=False)
            else:
                x = layer(x, mask)
        return x @ self.table.t() * self.scale


build = lambda vocab, **options: Net(vocab, **options)


def build_model(ctx, *, seed=None):
    torch.manual_seed(ctx.seed if seed is None else seed)
    return build(ctx.vocab_size, seed=ctx.seed)


def get_recipe(_):
    return TrainingRecipe(learning_rate=5e-4, batch_size=2, weight_decay=0.0)


def compute_loss(model, batch: PrismBatch, ctx=None):
    autocast = torch.autocast("cpu", dtype=torch.bfloat16) if ctx is None else nullcontext()
    with autocast:
        logits = model(batch.tokens)
    return nn.CrossEntropyLoss()(logits.flatten(0, 1).float(), batch.targets.flatten())
