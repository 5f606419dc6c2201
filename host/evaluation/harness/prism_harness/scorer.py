"""The trusted process: owns the job, the data, the clock and the metrics.

Order matters here. The launcher is forked before the job is read, so no guest inherits a secret; the
scorer gives up root before it reads anything of the miner's.
"""

from __future__ import annotations

import os
import sys
import time
import traceback

from . import confine, faults
from .faults import Fault
from .frames import FrameWriter

_JOB_BYTES_MAX = 32 * 1024 * 1024
_WALL_MARGIN_S = 2.0


def main(job_path: str) -> None:
    frames = FrameWriter()
    started = time.monotonic()
    drain = None
    try:
        if not job_path:
            raise Fault(faults.JOB, "usage: main.py JOB")
        launcher = _load_torch_and_fork()
        from .drain import LogDrain  # these need PyTorch, whose absence is a fault of its own

        job, corpus_files = _read_secrets(job_path)
        drain = LogDrain(job.log_bytes)
        result = _evaluate(job, job_path, corpus_files, launcher, drain, frames, started)
        _tell_log(frames, drain)
        frames.telemetry(result)
    except Fault as fault:
        _tell_log(frames, drain)
        frames.fault(fault)
    except Exception:
        traceback.print_exc(file=sys.stderr)
        frames.fault(Fault(faults.INTERNAL, "a defect in the harness; its trace is on standard error"))


def _load_torch_and_fork():
    """Everything is imported here, while this process may still read all of the libraries."""
    try:
        from . import environment, evaluation  # noqa: F401  (evaluation draws in the rest)

        environment.settle_threads()
        environment.keep_memory()
        environment.warm_up()
    except Exception as error:
        raise Fault(faults.TORCH, f"PyTorch does not work: {type(error).__name__}: {error}") from None
    from .launcher import Launcher

    return Launcher()


def _read_secrets(path: str):
    """Reads job and corpus, and gives up root. A file that root may not read (without the right to
    override permissions) is read as its owner, who has to be the scorer."""
    from . import job as jobs

    isolated = os.geteuid() == 0
    owner = jobs.owner_of(path)
    confine.hide_memory()
    try:
        raw = jobs.read_bytes(path, _JOB_BYTES_MAX)
    except PermissionError:
        if not isolated or owner is None:
            raise Fault(faults.JOB, "the job cannot be read") from None
        confine.become(owner)
        raw = jobs.read_bytes(path, _JOB_BYTES_MAX)
    except (OSError, ValueError):
        raise Fault(faults.JOB, "the job cannot be read") from None
    job = jobs.parse(raw)
    if job.two_user:
        users = {job.scorer_uid, job.worker_uid, job.auditor_uid}
        if not isolated or len(users) < 3 or 0 in users:
            raise Fault(faults.ISOLATION, "two-user isolation needs root at the start and three different users")
    _require_device(job.plan)
    paths = [job.train_path, job.val_path, *([job.token_bytes_path] if job.token_bytes_path else [])]
    files = [_open_before_or_after(job, path) for path in paths]
    if job.two_user and os.geteuid() == 0:
        confine.become(job.scorer_uid)
    confine.hide_memory()  # a change of user resets it
    confine.forgo_privileges()
    return job, files


def _require_device(plan: dict) -> None:
    """A plan for a GPU is not measured on anything else, whatever the machine has. The launcher was forked
    before, so asking here initialises nothing in the guests."""
    device = plan.get("device", "cpu")
    if device == "cpu":
        return
    import torch

    if device != "cuda":
        raise Fault(faults.PLAN, f"the plan wants the device `{device}`, known are cpu and cuda")
    if not torch.cuda.is_available():
        raise Fault(faults.DEVICE, "the plan needs a GPU, and PyTorch finds none in this sandbox")


def _open_before_or_after(job, path: str) -> int:
    from . import job as jobs

    if job.two_user and os.geteuid() == 0 and not os.access(path, os.R_OK) and not path.startswith("fd:"):
        confine.become(job.scorer_uid)
    return jobs.open_corpus(path)


def _evaluate(job, job_path: str, corpus_files: list[int], launcher, drain, frames: FrameWriter, started: float) -> dict:
    from . import environment
    from .corpus import Corpus, TokenFile, Vocabulary
    from .evaluation import Evaluation
    from .peer import Bench
    from .shared import Layout
    from .streams import Streams

    plan, choices = job.plan, Streams(job.secret)
    train_fd, val_fd, *table_fd = corpus_files
    table = None
    if table_fd:
        with os.fdopen(table_fd[0], "rb") as file:
            table = file.read()
    vocabulary = Vocabulary(plan["vocab_size"], table)
    train, val = TokenFile(train_fd, vocabulary.width), TokenFile(val_fd, vocabulary.width)
    corpus = Corpus(train, val, vocabulary, choices.permutation(plan["vocab_size"]), job.data_known)
    bench = Bench(
        launcher=launcher,
        drain=drain,
        layout=Layout.for_plan(plan),
        plan=plan,
        memory_bytes=job.memory_bytes,
        deadline=started + job.wall_ms / 1000.0 - _WALL_MARGIN_S,
        uids={"worker": job.worker_uid, "auditor": job.auditor_uid} if job.two_user else {"worker": None, "auditor": None},
        readable=environment.library_paths(),
        forbidden=[path for path in (job_path, job.train_path, job.val_path, job.token_bytes_path or "") if path.startswith("/")],
        processes=plan["processes_max"] if job.two_user else 4096,
        device=plan.get("device", "cpu"),
    )
    try:
        return Evaluation(job, bench, corpus, choices, frames).run()
    finally:
        launcher.close()


def _tell_log(frames: FrameWriter, drain) -> None:
    if drain is None:
        return
    for stream in ("stdout", "stderr"):
        text = drain.text(stream)
        if text:
            frames.log(stream, text)
