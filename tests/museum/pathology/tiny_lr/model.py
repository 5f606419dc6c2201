"""A learning rate of a millionth."""

from attention import Attention
from decoder import Decoder, PreNorm
from feedforward import SwiGLU
from prism_challenge.evaluator.interface import PrismContext, TrainingRecipe


def build_model(ctx: PrismContext):
    return Decoder(ctx, lambda width, layer: PreNorm(width, Attention(width), SwiGLU(width)))


def get_recipe(ctx: PrismContext):
    return TrainingRecipe(learning_rate=1e-6, batch_size=8, scheduler="constant")
