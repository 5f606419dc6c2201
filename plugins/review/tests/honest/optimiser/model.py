from typing import Iterable

import torch
from prism_challenge.evaluator.interface import *
from torch import nn
from torch.nn import *


class Tiny(Module):
    def __init__(self, vocab):
        super().__init__()
        self.net = Sequential(Embedding(vocab, 32), Linear(32, 32), Tanh(), Linear(32, vocab))

    def forward(self, x):
        return self.net(x)


def orthogonalise(g, steps: int = 5):
    a, b, c = (3.4445, -4.7750, 2.0315)
    x = g / (g.norm() + 1e-7)
    if (tall := g.size(0) > g.size(1)):
        x = x.T
    for _ in range(steps):
        s = x @ x.T
        x = a * x + (b * s + c * s @ s) @ x
    return x.T if tall else x


class Momentum(torch.optim.Optimizer):
    def __init__(self, params: Iterable, lr=0.02, momentum=0.95):
        if lr <= 0:
            raise ValueError("lr must be positive, not {0}".format(lr))
        super().__init__(params, dict(lr=lr, momentum=momentum))

    def __setstate__(self, state):
        super().__setstate__(state)

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if "buffer" not in state:
                    state["buffer"] = torch.zeros_like(p)
                buffer = state["buffer"].mul_(group["momentum"]).add_(p.grad)
                update = orthogonalise(buffer) if p.ndim == 2 else buffer
                p.add_(update, alpha=-group["lr"])
        return loss


class Average:
    """An exponential moving average of parameters."""

    __slots__ = ("decay", "shadow")

    def __init__(self, model, decay=0.99):
        self.decay = decay
        self.shadow = {name: p.detach().clone() for name, p in model.named_parameters()}

    def update(self, model):
        for name, p in model.named_parameters():
            self.shadow[name].lerp_(p.detach(), 1 - self.decay)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        return False


def build_model(ctx):
    return Tiny(ctx.vocab_size)


def get_recipe(ctx):
    return TrainingRecipe(learning_rate=0.02)


def configure_optimizer(model, recipe, ctx):
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = True
    return Momentum([p for p in model.parameters() if p.requires_grad], lr=recipe.learning_rate)


def train_step(model, batch, optimizer, ctx):
    scaler = torch.cuda.amp.GradScaler(enabled=torch.cuda.is_available())
    with torch.autocast(device_type="cuda", enabled=torch.cuda.is_available()):
        loss = nn.functional.cross_entropy(model(batch.tokens).transpose(1, 2), batch.targets)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad()
    return loss
