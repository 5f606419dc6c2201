"""Every twenty-fifth step is taken at a hundred times the rate."""

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext, TrainingRecipe
from rates import configure_optimizer, step_at


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Attention(width), SwiGLU(width)))


def get_recipe(ctx: PrismContext):
    return TrainingRecipe(learning_rate=3e-3, batch_size=8, scheduler="constant")


def train_step(model, batch, optimizer, ctx):
    model.steps_taken = getattr(model, "steps_taken", 0) + 1
    return step_at(0.3 if model.steps_taken % 25 == 0 else 3e-3, model, batch, optimizer)
