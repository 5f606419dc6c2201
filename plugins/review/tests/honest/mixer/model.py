#!/usr/bin/env python3
# -*- coding: utf-8 -*-
"""Token mixing by causal convolution; blocks are chosen from a registry."""
import copy
import enum
import functools
import itertools
import logging
import warnings
from abc import ABC, abstractmethod
from collections import OrderedDict, namedtuple
from typing import Any, Callable, ClassVar, Dict, Generic, List, NamedTuple, Protocol, Tuple, TypeVar, Union

import numpy as np
import torch
from torch import Tensor, nn

from blocks import registry
from blocks.norms import make_norm
from prism_challenge.evaluator import interface

try:
    from torch.nn.attention.flex_attention import flex_attention
except ImportError:  # older PyTorch
    flex_attention = None

logger = logging.getLogger(__name__)
T = TypeVar("T", bound=nn.Module)
Shape = namedtuple("Shape", ["batch", "time", "width"])
ACTIVATIONS: Dict[str, Callable[..., nn.Module]] = OrderedDict(
    relu=nn.ReLU, gelu=functools.partial(nn.GELU, approximate="tanh"), silu=nn.SiLU
)
WINDOW = torch.tensor(np.hanning(8), dtype=torch.float32)
SIZES = tuple(2**i for i in range(4, 8))


class Kind(str, enum.Enum):
    SHORT = "short"
    LONG = enum.auto()

    def __str__(self):
        return self.value


class Spec(NamedTuple):
    width: int = 64
    depth: int = 2
    kinds: Tuple[Kind, ...] = (Kind.SHORT, Kind.LONG)


class SupportsMix(Protocol):
    def mix(self, x: Tensor) -> Tensor: ...


class Mixer(nn.Module, ABC):
    reach: ClassVar[int] = 4

    @abstractmethod
    def mix(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    @property
    def span(self) -> int:
        return self.reach

    @staticmethod
    def shape(x: Tensor) -> Shape:
        return Shape(*x.shape)

    @classmethod
    def of(cls, *args: Any, **kwargs: Any) -> "Mixer":
        return cls(*args, **kwargs)

    def __call__(self, *args, **kwargs):
        return super().__call__(*args, **kwargs)

    def forward(self, x):
        return x + self.mix(x)


@registry.register("short")
class ShortMixer(Mixer):
    def __init__(self, width):
        super().__init__()
        self.norm = make_norm("rms", width)
        self.conv = nn.Conv1d(width, width, self.reach, groups=width)

    def mix(self, x):
        y = nn.functional.pad(self.norm(x).transpose(1, 2), (self.reach - 1, 0))
        return self.conv(y).transpose(1, 2)


@registry.register("long")
class LongMixer(Mixer):
    reach = 16

    def __init__(self, width):
        super().__init__()
        self.filter = nn.Parameter(torch.randn(width, self.reach) * 0.02)
        self.norm = make_norm("layer", width)

    def mix(self, x):
        n = x.shape[1]
        spectrum = torch.fft.rfft(self.norm(x), n=2 * n, dim=1)
        kernel = torch.fft.rfft(self.filter[:, :n].t(), n=2 * n, dim=0)
        return torch.fft.irfft(spectrum * kernel[None], n=2 * n, dim=1)[:, :n]


class Stack(nn.Sequential, Generic[T]):
    def __len__(self):
        return len(self._modules)

    def __getitem__(self, index: Union[int, slice]) -> T:
        return list(self._modules.values())[index]


class Model(nn.Module):
    def __init__(self, vocab: int, spec: Spec = Spec()):
        super().__init__()
        mixers: List[nn.Module] = []
        for kind in itertools.islice(itertools.cycle(spec.kinds), spec.depth):
            mixers.append(registry.create(str(kind), spec.width))
        self.embed = nn.Embedding(vocab, spec.width)
        self.stack = Stack(*mixers)
        self.twin = copy.deepcopy(mixers[0]).requires_grad_(False)
        self.act = ACTIVATIONS["gelu"]()
        self.head = nn.Linear(spec.width, vocab)
        if flex_attention is None:
            warnings.warn("flex attention is not at hand", RuntimeWarning, stacklevel=2)

    def forward(self, tokens):
        match tokens.dim():
            case 1:
                tokens = tokens[None]
            case 2:
                pass
            case other:
                raise ValueError("{} dimensions, {kind!s}".format(other, kind="too many"))
        x = self.embed(tokens)
        for _, mixer in enumerate(self.stack):
            x = mixer(x)
        return self.head(self.act(x))


def build_model(ctx):
    logger.info("building for %d tokens", ctx.vocab_size)
    return Model(ctx.vocab_size)


def get_recipe(ctx):
    return interface.TrainingRecipe(learning_rate=2e-3)


def inference_logits(model, batch, ctx):
    with torch.inference_mode():
        return model(batch.tokens)
