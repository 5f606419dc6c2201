"""The job description, checked once at the edge."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass

from .faults import DATA, JOB, Fault
from .probes import Permutation, Probe, Recall, count, read_permutation, read_probes, read_recall

SCHEMA = "prism.job/1"
_JOB_BYTES_MAX = 32 * 1024 * 1024
_PIPED_BYTES_MAX = 1 << 30
_KINDS = ("full", "architecture_only", "training_for_arch")


@dataclass(frozen=True)
class Rung:
    """One size of the ladder."""

    size_id: str
    d_model: int
    n_layer: int
    steps: int
    seeds: int = 1  # how many of the paired seeds are run on it


@dataclass(frozen=True)
class Job:
    """Everything the host decided about this evaluation."""

    submission_id: str
    eval_id: str
    kind: str
    tier: str
    architecture: dict
    training: dict | None
    plan: dict
    rungs: list[Rung]
    seeds: list[int]
    secret: bytes
    two_user: bool
    scorer_uid: int
    worker_uid: int
    auditor_uid: int
    wall_ms: int
    memory_bytes: int
    log_bytes: int
    corpus_id: str
    train_path: str
    val_path: str
    token_bytes_path: str | None
    data_known: dict
    image_digest: str | None
    probes: list[Probe]
    recall: Recall | None
    permutation: Permutation | None
    reference: dict | None  # part of an earlier telemetry: env, data, plan, the reference's runs and sizes

    @property
    def has_own_recipe(self) -> bool:
        return self.training is not None and self.kind != "architecture_only"


def read_bytes(path: str, limit: int) -> bytes:
    """A file that belongs to the scorer; `fd:N` is an inherited descriptor, `-` standard input."""
    if path == "-":
        fd = 0
    elif path.startswith("fd:"):
        fd = int(path[3:])
    else:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(f"more than {limit} bytes")
    return data


def owner_of(path: str) -> int | None:
    """The user who owns a regular file, for a root without the right to read other users' files."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_uid if stat.S_ISREG(status.st_mode) else None


def open_corpus(path: str) -> int:
    """A descriptor of a token file. What comes over a pipe is kept in memory, so that it has places."""
    try:
        fd = int(path[3:]) if path.startswith("fd:") else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        if stat.S_ISREG(os.fstat(fd).st_mode):
            return fd
        with os.fdopen(fd, "rb") as pipe:
            data = pipe.read(_PIPED_BYTES_MAX + 1)
        if len(data) > _PIPED_BYTES_MAX:
            raise OSError(f"more than {_PIPED_BYTES_MAX} bytes over a pipe")
        memory = os.memfd_create("corpus", os.MFD_CLOEXEC)
        with os.fdopen(os.dup(memory), "wb") as file:
            file.write(data)
        return memory
    except (OSError, ValueError) as error:
        raise Fault(DATA, f"the corpus cannot be read: {error}") from None


def parse(raw: bytes) -> Job:
    """The job in `raw`, or a platform fault that names the field."""
    try:
        document = json.loads(raw)
        if document["schema"] != SCHEMA:
            raise Fault(JOB, f"the job has schema `{document['schema']}`, expected `{SCHEMA}`")
        return _job(document)
    except Fault:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise Fault(JOB, f"the job is not usable: {type(error).__name__} {error}") from None


def _job(document: dict) -> Job:
    plan, isolation, limits, data = (document[name] for name in ("plan", "isolation", "limits", "data"))
    rungs = [Rung(str(r["size_id"]), count(r["d_model"]), count(r["n_layer"]), count(r["steps"]),
                  min(count(r.get("seeds", plan["seeds"])), count(plan["seeds"]))) for r in plan["sizes"]]
    seeds = [int(seed) for seed in document["seeds"]][: count(plan["seeds"])]
    if document["kind"] not in _KINDS or not rungs:
        raise ValueError("kind or sizes")
    if len(set(seeds)) < plan["seeds"]:
        raise ValueError(f"the plan needs {plan['seeds']} different seeds")
    secret = bytes.fromhex(document["secret"])
    if len(secret) < 32:
        raise ValueError("the secret has less than 32 bytes")
    if not isinstance(document.get("reference"), (dict, type(None))):
        raise ValueError("reference")
    if isolation["mode"] not in ("two_user", "single_user"):
        raise ValueError("isolation.mode")
    return Job(
        submission_id=str(document["submission_id"]),
        eval_id=str(document["eval_id"]),
        kind=document["kind"],
        tier=str(document["tier"]),
        architecture=_part(document["architecture"]),
        training=_part(document["training"]) if document.get("training") else None,
        plan=plan,
        rungs=rungs,
        seeds=seeds,
        secret=secret,
        two_user=isolation["mode"] == "two_user",
        scorer_uid=int(isolation.get("scorer_uid", 0)),
        worker_uid=int(isolation.get("worker_uid", 0)),
        auditor_uid=int(isolation.get("auditor_uid", 0)),
        wall_ms=count(limits["wall_ms"]),
        memory_bytes=count(limits["memory_bytes"]),
        log_bytes=count(limits["log_bytes"]),
        corpus_id=str(data["corpus_id"]),
        train_path=str(data["train"]),
        val_path=str(data["val"]),
        token_bytes_path=str(data["token_bytes"]) if data.get("token_bytes") else None,
        data_known={name: data[name] for name in ("train_sha256", "val_sha256", "tokenizer_sha256", "bytes_per_token") if data.get(name)},
        image_digest=document.get("image_digest"),
        probes=read_probes(plan),
        recall=read_recall(plan),
        permutation=read_permutation(plan),
        reference=document.get("reference"),
    )


def _part(part: dict) -> dict:
    return {"dir": str(part["dir"]), "entrypoint": str(part["entrypoint"])}

