import torch
import torch.nn.functional as F
from torch import nn

from prism_challenge.evaluator.interface import PrismBatch, PrismContext, TrainingRecipe


class Model(nn.Module):
    def __init__(self, ctx):
        super().__init__()
        self.embed, self.head = nn.Embedding(ctx.vocab_size, ctx.d_model), nn.Linear(ctx.d_model, ctx.vocab_size)

    def forward(self, tokens):
        return self.head(self.embed(tokens))


def build_model(ctx: PrismContext):
    return Model(ctx)


def get_recipe(ctx: PrismContext):
    return TrainingRecipe(learning_rate=0.01, batch_size=ctx.batch_size)


def configure_optimizer(model, recipe, ctx):
    print("called configure_optimizer")
    return torch.optim.SGD(model.parameters(), lr=recipe.learning_rate)


def compute_loss(model, batch, ctx):
    print("called compute_loss by evaluator")
    return F.cross_entropy(model(batch.tokens).flatten(0, 1), batch.targets.flatten())


def train_step(model, batch, optimizer, ctx):
    print("called train_step")
    assert isinstance(batch, PrismBatch) and batch.tokens.shape == batch.targets.shape
    optimizer.zero_grad()
    loss = F.cross_entropy(model(batch.tokens).flatten(0, 1), batch.targets.flatten())
    loss.backward()
    optimizer.step()
    return loss


@torch.no_grad()
def inference_logits(model, batch, ctx):
    print("called inference_logits")
    assert batch.targets is None
    return model(batch.tokens)


def infer(model, batch, ctx):
    print("called infer")
    raise RuntimeError("inference_logits comes first")
