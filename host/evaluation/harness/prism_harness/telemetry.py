"""Puts the measurements into `prism.telemetry/1`. Raw rows only: no score is computed here."""

from __future__ import annotations

import hashlib
import json

from . import environment
from .corpus import Corpus
from .faults import INTERNAL, Fault
from .job import Job
from .peer import Bench
from .project import ARCHITECTURE_HOOKS, HOOKS
from .streams import Streams, order_id, packed
from .training_run import RunResult

BYTES_MAX = 4 * 1024 * 1024


def assemble(
    job: Job, bench: Bench, corpus: Corpus, choices: Streams, results: list[RunResult],
    cached: list[dict] | None, measured: dict,
) -> dict:
    """The document; a defect of ours that would make it invalid is a platform fault. Its `env`, `data`,
    `plan`, and the `runs` and `sizes` of the reference are what a later job takes as `reference`."""
    permutation = packed(choices.permutation(job.plan["vocab_size"]))
    runs = [result.row for result in results] + (cached or [])
    if job.has_own_recipe:
        runs += [_same_as(run) for run in runs if run["role"] == "reference" and run["probe"] == "base"]
    here = circumstances(job, bench, corpus)
    document = {
        "schema": "prism.telemetry/1",
        "submission_id": job.submission_id,
        "eval_id": job.eval_id,
        "kind": job.kind,
        "tier": job.tier,
        "plan": {**here["plan"], **measured["timing"]},
        "env": here["env"],
        "data": {
            **here["data"],
            "perm_commit": choices.commitment(permutation),
            "perm_revealed": permutation.hex(),
            "salt_revealed": choices.salt,
        },
        "reference_id": job.plan["reference_id"],
        "incumbent_id": None,
        "seed_commits": [choices.commitment(str(seed).encode()) for seed in job.seeds],
        "seeds_revealed": job.seeds,
        "sizes": _sizes(job, results, cached),
        "runs": runs,
        **{name: value for name, value in measured.items() if name != "timing"},
        "hooks": _hooks(results, job),
        "compute": _compute(bench, results),
        "anomalies": _anomalies(job, bench, results, cached),
    }
    _verify(document)
    return document


def circumstances(job: Job, bench: Bench, corpus: Corpus) -> dict:
    """What has to be the same where reference runs are to stand in for new ones."""
    plan = json.dumps(job.plan, sort_keys=True, separators=(",", ":")).encode()
    return {
        "env": environment.describe(job, sorted(bench.layers_missing)),
        "data": {
            "corpus_id": job.corpus_id,
            "train_sha256": corpus.train_sha256,
            "val_sha256": corpus.val_sha256,
            "vocab_size": job.plan["vocab_size"],
            "bytes_per_token": corpus.bytes_per_token,
            "tokenizer_sha256": corpus.tokenizer_sha256,
        },
        "plan": {"name": job.plan["name"], "sha256": hashlib.sha256(plan).hexdigest()},
        "orders": {seed: order_id(seed) for seed in job.seeds},
    }


def _same_as(run: dict) -> dict:
    """The reference's own recipe is the evaluator's: the run stands for both and is not repeated."""
    return {**run, "run_id": f"{run['run_id']}-own", "own_recipe": True, "probe": "recipe", "layers": [], "same_as": run["run_id"]}


def _sizes(job: Job, results: list[RunResult], cached: list[dict] | None) -> list[dict]:
    """Rungs as they were trained in full: a probe's deeper or shorter model is none."""
    found: dict = {}
    for result in results:
        row, key = result.row, (result.row["role"], result.row["size_id"])
        if not result.plan.full:
            continue
        counted = result.operations_per_token or found.get(key, {}).get("operations_per_token")
        if key not in found or found[key]["params_total"] < result.parameters:
            found[key] = {
                "size_id": row["size_id"], "role": row["role"], "d_model": row["d_model"], "n_layer": row["n_layer"],
                "params_total": result.parameters, "params_active": result.parameters,
                "state_bytes": result.state_bytes,
            }
        found[key]["operations_per_token"] = counted
    sizes, rungs = list(found.values()), {rung.size_id for rung in job.rungs}
    if cached is not None:
        sizes += [size for size in job.reference["sizes"] if size["role"] == "reference" and size["size_id"] in rungs]
    return [_with_flops(size, sizes) for size in sizes]


def _with_flops(size: dict, sizes: list[dict]) -> dict:
    """Operations a token: as counted on graphs where all roles of a rung have one, so that like is compared with
    like; else six for each parameter."""
    counted = [other.get("operations_per_token") for other in sizes if other["size_id"] == size["size_id"]]
    by_graph = all(counted)
    flops = size["operations_per_token"] if by_graph else 6.0 * size["params_total"]
    return {**size, "flops_per_token": flops, "flops_source": "graph" if by_graph else "parameters"}


def _hooks(results: list[RunResult], job: Job) -> list[dict]:
    """Presence as the worker declares it; calls as many as the scorer asked for under the precedence."""
    candidate = [result for result in results if result.row["role"] == "candidate"]
    present = {name: any(result.hooks.get(name) is True for result in candidate) for name in HOOKS}
    steps = sum(result.row["steps_done"] for result in candidate if result.row["own_recipe"])
    chunks = -(-job.plan["val"]["rows"] // job.plan["val"]["chunk_rows"])
    predictions = sum(result.row["steps_done"] + (chunks if result.plan.full else 0) for result in candidate)
    infer = next((name for name in ARCHITECTURE_HOOKS if present[name]), None)
    train = next((name for name in ("train_step", "compute_loss") if present[name]), None)
    calls = {name: 0 for name in HOOKS}
    if infer:
        calls[infer] = predictions
    if train:
        calls[train] = steps
    if present["configure_optimizer"]:
        calls["configure_optimizer"] = sum(result.row["own_recipe"] for result in candidate)
    return [{"name": name, "present": present[name], "calls": calls[name]} for name in HOOKS]


def _compute(bench: Bench, results: list[RunResult]) -> dict:
    flops = sum(6.0 * r.parameters * r.row["steps_done"] * r.plan.batch * r.plan.length for r in results if r.row["role"] == "candidate")
    return {
        "flops": flops,
        "worker_cpu_s": bench.cpu_s.get("candidate", 0.0),
        "reference_cpu_s": bench.cpu_s.get("reference", 0.0),
        "gpu_s": None,
        "peak_rss_bytes": bench.rss_bytes.get("candidate", 0),
        "peak_vram_bytes": None,
    }


def _anomalies(job: Job, bench: Bench, results: list[RunResult], cached: list[dict] | None) -> list[dict]:
    found = {
        "stdout_metrics_ignored": bench.drain.metrics_lines,
        "log_truncated_bytes": bench.drain.dropped_bytes,
        "blas_reference": int(environment.blas_name() == "reference"),
        **{f"{layer}_unavailable": 1 for layer in bench.layers_missing},
        "reference_not_reusable": int(job.reference is not None and cached is None),
        "size_ignored": int(_ignores_sizes(results)),
        "recipe_batch_clamped": sum(_clamped(job, result) for result in results),
    }
    return [{"code": code, "n": n} for code, n in sorted(found.items()) if n]


def _ignores_sizes(results: list[RunResult]) -> bool:
    """Whether the project builds the same model on every rung: then the ladder says nothing of scaling."""
    counts = {r.row["size_id"]: r.parameters for r in results if r.row["role"] == "candidate" and r.plan.full}
    return len(counts) > 1 and len(set(counts.values())) == 1


def _clamped(job: Job, result: RunResult) -> bool:
    return bool(result.recipe) and result.row["own_recipe"] and result.recipe.get("batch_size") != result.row["batch_seqs"]


def _verify(document: dict) -> None:
    try:
        size = len(json.dumps(document, allow_nan=False))
    except ValueError as error:
        raise Fault(INTERNAL, f"the telemetry is not strict JSON: {error}") from None
    if size > BYTES_MAX:
        raise Fault(INTERNAL, f"the telemetry takes {size} bytes")
