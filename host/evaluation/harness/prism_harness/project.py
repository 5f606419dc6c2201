"""Imports a miner's project and finds its functions. Runs in guests only.

Who is asked for what: the architecture's module for build_model, inference_logits and infer, which
decide what the model computes whoever trains it; the training module for get_recipe,
configure_optimizer, compute_loss and train_step, and where both lie in the same folder and it lacks
one, the architecture's module. The review looks in the same places: what it checked is what runs.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import types
from typing import Any, Callable

from . import interface

ARCHITECTURE_HOOKS = ("inference_logits", "infer")
TRAINING_HOOKS = ("configure_optimizer", "compute_loss", "train_step")
HOOKS = ("configure_optimizer", "inference_logits", "infer", "compute_loss", "train_step")


class ProjectError(Exception):
    """`kind` is import, build or contract; the message is for the miner."""

    def __init__(self, kind: str, message: str):
        super().__init__(message)
        self.kind = kind


class Project:
    """The functions of a submission, bound to the folders they came from."""

    def __init__(self, architecture: dict, training: dict | None):
        interface.register()
        self.folders = [os.path.realpath(architecture["dir"])]
        self._architecture = _load(architecture)
        self._training: types.ModuleType | None = None
        self._same_folder = training is not None and os.path.realpath(training["dir"]) == self.folders[0]
        if training is not None:
            self._training = self._load_training(architecture, training)

    def _load_training(self, architecture: dict, training: dict) -> types.ModuleType:
        if self._same_folder and training["entrypoint"] == architecture["entrypoint"]:
            return self._architecture
        if not self._same_folder:
            self.folders.insert(0, os.path.realpath(training["dir"]))
            _forget_modules_under(self.folders[-1])
        return _load(training)

    def function(self, name: str) -> Callable[..., Any] | None:
        """The project's function of that name, or None."""
        modules = [self._architecture]
        if name == "get_recipe" or name in TRAINING_HOOKS:
            if self._training is None:  # without a training module there are no training functions
                return None
            modules = [self._training, self._architecture] if self._same_folder else [self._training]
        for module in modules:
            names = vars(module)  # not getattr: a module's `__getattr__` could offer what no reader sees
            if name in names:
                return names[name] if callable(names[name]) else None
        return None

    def required(self, name: str) -> Callable[..., Any]:
        found = self.function(name)
        if found is None:
            raise ProjectError("contract", f"the project has no function `{name}(ctx)`")
        return found


def _load(part: dict) -> types.ModuleType:
    root = os.path.realpath(part["dir"])
    path = os.path.realpath(os.path.join(root, part["entrypoint"]))
    if not path.startswith(root + os.sep) or not os.path.isfile(path):
        raise ProjectError("import", f"the entry point `{part['entrypoint']}` is not in the project")
    for folder in dict.fromkeys((root, os.path.dirname(path))):
        sys.path.insert(0, folder)
    stem = os.path.splitext(os.path.basename(path))[0]
    name = "prism_submission" if "prism_submission" not in sys.modules else f"prism_submission_{stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ProjectError("import", f"the entry point `{part['entrypoint']}` is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if stem not in sys.modules and importlib.util.find_spec(stem) is not None:
        sys.modules[stem] = module  # a sibling that imports the entry point gets this very module
    spec.loader.exec_module(module)
    return module


def _forget_modules_under(folder: str) -> None:
    """Two projects may both have a `layers.py`: what the first imported keeps its own, by reference."""
    for name, module in list(sys.modules.items()):
        origin = getattr(module, "__file__", None)
        if isinstance(origin, str) and os.path.realpath(origin).startswith(folder + os.sep) and name != "prism_submission":
            del sys.modules[name]


def describe(error: BaseException, folders: list[str]) -> str:
    """The error and where in the project it arose: project-relative paths only."""
    try:
        text = f"{type(error).__name__}: {error}"
    except BaseException:  # a project's own exception may fail to print
        text = type(error).__name__
    places = []
    trace = error.__traceback__
    while trace is not None:
        path = os.path.realpath(trace.tb_frame.f_code.co_filename)
        for folder in folders:
            if path.startswith(folder + os.sep):
                places.append(f"{os.path.relpath(path, folder)}:{trace.tb_lineno} in {trace.tb_frame.f_code.co_name}")
        trace = trace.tb_next
    return "\n".join([text[:1200], *(f"  at {place}" for place in reversed(places[-8:]))])
