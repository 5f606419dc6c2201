"""Building blocks of the hybrid. A project may have as many modules as it likes."""

import math

import torch
import torch.nn.functional as F
from torch import nn

KERNEL = 4
HEAD_WIDTH = 32


def level(x: torch.Tensor) -> torch.Tensor:
    """Brings every position to a root mean square of two. Nothing to learn here.

    Two and not one: larger inputs make larger gradients, and so a short training goes further.
    """
    return 2.0 * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True).add(1e-6))


class ShortConvolution(nn.Module):
    """A depthwise convolution over the last few positions.

    All padding is on the left, so that position ``i`` sees ``i - KERNEL + 1 .. i``. It is a sum of
    shifted copies, because that is faster on a CPU than ``nn.Conv1d`` at this size.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.taps = nn.Parameter(torch.zeros(KERNEL, channels))
        with torch.no_grad():
            self.taps[0].fill_(1.0)  # starts with the present and some of the past
            self.taps[1:].normal_(std=0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        length = x.shape[1]
        padded = F.pad(x, (0, 0, KERNEL - 1, 0))
        total = self.taps[0] * x
        for back in range(1, KERNEL):
            start = KERNEL - 1 - back
            total = total + self.taps[back] * padded[:, start : start + length]
        return total


class GatedConvolution(nn.Module):
    """Looks at the last few tokens and gates what it finds: cheap, and very good at local patterns."""

    def __init__(self, width: int):
        super().__init__()
        self.inner = 2 * width
        self.expand = nn.Linear(width, 2 * self.inner, bias=False)
        self.convolve = ShortConvolution(self.inner)
        self.contract = nn.Linear(self.inner, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        signal, gate = self.expand(level(x)).split(self.inner, dim=-1)
        return self.contract(self.convolve(signal) * F.silu(gate))


class Recall(nn.Module):
    """One query head group over shared keys and values, for what a short convolution cannot reach.

    Positions enter as a penalty that grows with distance, with a different slope for each head. Keys
    and values pass a short convolution first, so that a head can look for "what came after this".
    """

    def __init__(self, width: int):
        super().__init__()
        self.heads = max(1, width // HEAD_WIDTH)
        self.size = width // self.heads
        self.ask = nn.Linear(width, width, bias=False)
        self.memory = nn.Linear(width, 2 * self.size, bias=False)
        self.smooth = ShortConvolution(2 * self.size)
        self.answer = nn.Linear(width, width, bias=False)
        slopes = torch.tensor([2.0 ** (-2.0 - 2.0 * head) for head in range(self.heads)])
        self.register_buffer("slopes", slopes.view(1, self.heads, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, length, width = x.shape
        x = level(x)
        asked = self.ask(x).view(rows, length, self.heads, self.size).permute(0, 2, 1, 3)
        keys, values = self.smooth(self.memory(x)).unsqueeze(1).chunk(2, dim=-1)
        scores = torch.matmul(level(asked), level(keys).transpose(2, 3)) / math.sqrt(self.size)
        steps = torch.arange(length, device=x.device)
        distance = steps[:, None] - steps[None, :]
        scores = scores - self.slopes * distance.clamp(min=0)
        scores = scores.masked_fill(distance < 0, -1e9)
        found = torch.matmul(torch.softmax(scores, dim=3), values)
        return self.answer(found.permute(0, 2, 1, 3).reshape(rows, length, width))
