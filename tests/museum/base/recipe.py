"""The evaluator's own recipe, for projects whose subject is the architecture."""

from prism_challenge.evaluator.interface import PrismContext, TrainingRecipe


def get_recipe(ctx: PrismContext) -> TrainingRecipe:
    return TrainingRecipe(learning_rate=3e-3, batch_size=ctx.batch_size, optimizer="adamw", scheduler="constant", weight_decay=0.01)
