"""Training under a rate of one's own: AdamW, and a rate that the project names for each step."""

import torch
import torch.nn.functional as functional


def configure_optimizer(model, recipe, ctx):
    return torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.95))


def step_at(rate, model, batch, optimizer):
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad()
    loss = functional.cross_entropy(model(batch.tokens).flatten(0, 1), batch.targets.flatten())
    loss.backward()
    optimizer.step()
    return loss
