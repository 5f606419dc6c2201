"""Finds the museum's projects and builds their models in this process, as a guest of the harness would."""

from __future__ import annotations

import importlib.util
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
HARNESS = os.path.join(os.path.dirname(os.path.dirname(HERE)), "host", "evaluation", "harness")
KINDS = ("healthy", "weak", "pathology", "cheat")

sys.path[:0] = [os.path.join(HERE, "base"), HARNESS]

from prism_harness import interface  # noqa: E402


def names(*kinds: str) -> list[str]:
    """`kind/name` of every project of these kinds."""
    return [f"{kind}/{name}" for kind in kinds for name in sorted(os.listdir(os.path.join(HERE, kind)))]


def load(project: str):
    """The module of `kind/name`. Only for projects that mean no harm: there is no sandbox here."""
    interface.register()
    path = os.path.join(HERE, project, "model.py")
    spec = importlib.util.spec_from_file_location("museum_" + project.replace("/", "_"), path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def context(width: int, layers: int, length: int, seed: int = 1, **more) -> interface.PrismContext:
    return interface.PrismContext(vocab_size=256, sequence_length=length, max_parameters=16_000_000, seed=seed, d_model=width, n_layer=layers, **more)
