# my own transformer, all rights reserved
import torch.nn as nn
from parts.blocks import Stack
from prism_challenge.evaluator.interface import PrismContext as Ctx, TrainingRecipe as Recipe


def build_model(settings: Ctx):
    """Constructs the network."""
    return Stack(settings.vocab_size, settings.d_model, settings.n_layer)


def get_recipe(settings: Ctx):
    return Recipe(learning_rate=2e-3, batch_size=settings.batch_size, optimizer='adamw', scheduler='constant', weight_decay=0.01)
