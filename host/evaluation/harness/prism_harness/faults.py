"""Why an evaluation ended without telemetry: a stable code, whose fault it was, a safe message.

Refuses to know how a fault is reported; `frames` does that.
"""

from __future__ import annotations

import re

MESSAGE_CHARS_MAX = 2000

# Miner's faults.
IMPORT = "M-IMPORT"  # the project could not be imported
BUILD = "M-BUILD"  # build_model or get_recipe raised
CONTRACT = "M-CONTRACT"  # an answer of the wrong shape, type or size
CRASH = "M-CRASH"  # the project's code raised in training or inference, or its process died
EXIT = "M-NO-RESULT"  # the process ended of its own accord without an answer
TIMEOUT = "M-TIMEOUT"  # one answer, or the whole evaluation, took too long
OOM = "M-OOM"  # memory ran out
OVERSIZED = "M-FRAME-OVERSIZED"  # a frame longer than the limit was announced
TRUNCATED = "M-FRAME-TRUNCATED"  # a frame ended early
INVALID = "M-FRAME-INVALID"  # a frame was not a JSON object of the right form
# Platform's faults.
JOB = "P-JOB"  # the job description is unusable
DATA = "P-DATA"  # the corpus is missing or too small
PLAN = "P-PLAN"  # the plan asks for what this harness does not know
DEVICE = "P-DEVICE"  # the plan needs a device that is not there
ISOLATION = "P-ISOLATION"  # the worker could not be confined as the job demands
TORCH = "P-TORCH"  # PyTorch is missing or broken
REFERENCE = "P-REFERENCE"  # the evaluator's own model failed
OVERLOAD = "P-OVERLOAD"  # the machine was too busy to give a guest its processor
INTERNAL = "P-INTERNAL"  # a defect in the harness


class Fault(Exception):
    """Ends the evaluation; `blame` follows from the code's first letter."""

    def __init__(self, code: str, message: str):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = safe_text(message)

    @property
    def blame(self) -> str:
        return "miner" if self.code.startswith("M-") else "platform"


_ABSOLUTE_PATH = re.compile(r"(?:/[\w.+@~-]+)+/([\w.+@~-]+)")


def safe_text(text: str, limit: int = MESSAGE_CHARS_MAX) -> str:
    """`text` without control characters, without absolute paths, cut at `limit` characters."""
    text = text.replace("/job/project/", "").replace("/job/architecture/", "")
    text = _ABSOLUTE_PATH.sub(r"\1", text)
    text = "".join(c if c in "\n\t" or (c.isprintable() and not 0xD800 <= ord(c) <= 0xDFFF) else "?" for c in text)
    return text if len(text) <= limit else text[: limit - 1] + "…"
