import math

import torch
from prism_challenge.evaluator.interface import TrainingRecipe
from losses import smooth_cross_entropy

WARMUP_STEPS = 20


def recipe(ctx):
    return TrainingRecipe(learning_rate=1e-3, batch_size=4, scheduler="cosine")


def configure_optimizer(model, recipe, ctx):
    optimizer = torch.optim.NAdam(model.parameters(), lr=recipe.learning_rate)

    def factor(step):
        if step < WARMUP_STEPS:
            return (step + 1) / WARMUP_STEPS
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / 1000)))

    optimizer.schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lr_lambda=factor)
    return optimizer


def compute_loss(model, batch, ctx):
    return smooth_cross_entropy(model(batch.tokens), batch.targets)


def train_step(model, batch, optimizer, ctx):
    model.train()
    optimizer.zero_grad(set_to_none=True)
    loss = compute_loss(model, batch, ctx)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.schedule.step()
    return loss.detach()
