"""A better way to train a network that somebody else designed.

Three of PRISM's hooks are used:

* ``get_recipe`` says how many rows a step has. The rest of it is for the hooks below to read.
* ``configure_optimizer`` builds the optimizer. Where it is present, the evaluator no longer sets the
  learning rate, so the schedule is ours as well.
* ``train_step`` takes one step on a batch whose targets have just been revealed.

The optimizer steps matrices along the orthogonalised momentum ("Muon"): every direction of a matrix
is changed equally much, not only the few that dominate its gradient. Everything else (embeddings, the
last layer, gains) stays with Adam.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from prism_challenge.evaluator.interface import PrismBatch, PrismContext, TrainingRecipe

MATRIX_RATE = 0.02
OTHER_RATE = 0.01
WARM_UP = 0.05
COOL_DOWN = 0.5
GRADIENT_NORM = 1.0


def get_recipe(ctx: PrismContext) -> TrainingRecipe:
    return TrainingRecipe(learning_rate=MATRIX_RATE, batch_size=ctx.batch_size, optimizer="muon", scheduler="trapezoid", weight_decay=0.0)


def share(step: int, steps: int) -> float:
    """Share of the peak rate: up over the first part, level, then down to nothing."""
    done = (step + 1) / max(1, steps)
    return max(0.0, min(1.0, done / WARM_UP, (1.0 - done) / COOL_DOWN + 0.02))


def orthogonalise(matrix: torch.Tensor, rounds: int = 4) -> torch.Tensor:
    """The nearest matrix with singular values about one, by a quintic Newton-Schulz iteration."""
    wide = matrix.shape[0] <= matrix.shape[1]
    x = matrix if wide else matrix.t()
    x = x / (x.norm() + 1e-7)
    for _ in range(rounds):
        square = x @ x.t()
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x if wide else x.t()


class MatrixMomentum(torch.optim.Optimizer):
    """Momentum for matrices, orthogonalised before it is applied; Adam for everything else."""

    def __init__(self, matrices, others):
        groups = [
            {"params": matrices, "kind": "matrix", "peak": MATRIX_RATE, "lr": MATRIX_RATE},
            {"params": others, "kind": "adam", "peak": OTHER_RATE, "lr": OTHER_RATE},
        ]
        super().__init__(groups, {})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            update = self.matrix_update if group["kind"] == "matrix" else self.adam_update
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.add_(update(parameter, self.state[parameter]), alpha=-group["lr"])

    def matrix_update(self, parameter, state):
        momentum = state.setdefault("momentum", torch.zeros_like(parameter))
        momentum.mul_(0.9).add_(parameter.grad)
        rows, columns = parameter.shape
        return orthogonalise(parameter.grad + 0.9 * momentum) * math.sqrt(max(1.0, rows / columns))

    def adam_update(self, parameter, state):
        mean = state.setdefault("mean", torch.zeros_like(parameter))
        square = state.setdefault("square", torch.zeros_like(parameter))
        state["count"] = count = state.get("count", 0) + 1
        mean.lerp_(parameter.grad, 0.1)
        square.lerp_(parameter.grad.square(), 0.05)
        return (mean / (1 - 0.9**count)) / ((square / (1 - 0.95**count)).sqrt() + 1e-8)


def configure_optimizer(model: nn.Module, recipe: TrainingRecipe, ctx: PrismContext) -> torch.optim.Optimizer:
    """Matrices inside the layers go one way, the rest the other."""
    inside = [parameter for parameter in model.layers.parameters() if parameter.dim() == 2]
    chosen = {id(parameter) for parameter in inside}
    others = [parameter for parameter in model.parameters() if id(parameter) not in chosen]
    optimizer = MatrixMomentum(inside, others)
    optimizer.steps_taken = 0
    return optimizer


def train_step(model: nn.Module, batch: PrismBatch, optimizer: torch.optim.Optimizer, ctx: PrismContext) -> torch.Tensor:
    """Forward, backward, clip, schedule, step. Returns the loss for the log."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * ctx.lr_mult * share(optimizer.steps_taken, ctx.step_budget)
    optimizer.steps_taken += 1
    optimizer.zero_grad()
    loss = F.cross_entropy(model(batch.tokens).flatten(0, 1), batch.targets.flatten())
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_NORM)
    optimizer.step()
    return loss.detach()
