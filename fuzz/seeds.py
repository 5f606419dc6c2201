"""Writes what the fuzz targets start from, into a folder for each: cases that the repository keeps as
tests anyway, in the form that the target reads. `python3 fuzz/seeds.py FOLDER`."""

import json
import struct
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NIL = "00000000-0000-0000-0000-000000000000"
# Which variant of an enum a derived `Arbitrary` takes: the first four bytes, scaled to their number.


def variant(index, of):
    return struct.pack("<I", ((index << 32) + of - 1) // of)


def python_facts():
    for case in json.loads((ROOT / "tests/hostile/python.json").read_text()):
        if "code" in case:
            yield case["id"], case["code"].encode("utf-8", "surrogatepass")


def telemetry():
    cols = {"nll_sum": [22.0, 21.5], "n_tok": [4, 4], "n_bytes": [4, 4], "grad_norm": [1.0, 0.5]}
    run = {"run_id": "r", "role": "candidate", "probe": "base", "size_id": "s0", "seed_idx": 0, "own_recipe": False,
           "steps_planned": 2, "steps_done": 2, "batch_seqs": 1, "seq_len": 4, "lr_mult": 1.0, "status": "ok", "cols": cols,
           "layers": [{"step": 0, "layer": 0, "kind": "block", "trust": "U", "act_rms": 1.5, "router_load": [0.5, 0.5]}],
           "snapshots": [{"step": 0, "update_ratio": 0.01}]}
    probe = {**run, "run_id": "p", "probe": "seq_x4", "steps_done": 0, "status": "contract",
             "cols": {"nll_sum": [], "n_tok": [], "n_bytes": []}, "layers": [], "snapshots": []}
    whole = {"schema": "prism.telemetry/1", "submission_id": NIL, "eval_id": NIL, "kind": "full", "tier": "smoke",
             "env": {"torch": "1.13", "device_kind": "cpu", "precision": "fp32", "blas": "openblas"},
             "data": {"corpus_id": "c", "train_sha256": "", "val_sha256": "", "vocab_size": 256, "perm_commit": ""},
             "sizes": [{"size_id": "s0", "role": "candidate", "d_model": 8, "n_layer": 1, "params_total": 9, "flops_per_token": 54.0}],
             "runs": [run, probe], "gns": {"b_small": 8, "b_big": 16, "pairs": 3}, "checks": {"kv": {"kl_mean": 0.0}},
             "anomalies": [{"code": "A", "n": 1}], "hooks": [{"name": "infer", "present": True, "calls": 2}]}
    least = {name: whole[name] for name in ("schema", "submission_id", "eval_id", "kind", "tier", "env", "data", "sizes")}
    return [json.dumps(least | {"runs": [run | {"layers": [], "snapshots": []}]}).encode(), json.dumps(whole).encode()]


def frames():
    head = bytes(8) + variant(0, 6)
    progress = {"frame": "progress", "probe": "base", "run_id": "r", "step": 1, "steps": 9, "loss_nats": None, "done": 0.5, "eta_ms": 5}
    lines = [progress, {"frame": "log", "text": "hello"}, {"frame": "fault", "blame": "miner", "code": "M-NAN", "message": "a loss is NaN"}]
    yield "lines", head + variant(0, 3) + b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    for index, text in enumerate(telemetry()):
        yield f"telemetry-{index}", head + variant(1, 3) + text
        yield f"twice-{index}", head + variant(2, 3) + text


def conversions():
    for index, text in enumerate(telemetry()):
        yield f"telemetry-{index}", variant(6, 7) + text


def manifest():
    for path in sorted(ROOT.glob("tests/**/prism.yaml")):
        yield path.parent.name, path.read_bytes()
    yield "all", (b"kind: training_for_arch\narchitecture_id: fam-1\narchitecture:\n  entrypoint: src/model.py\n  files: [src/model.py]\n"
                  b"training:\n  entrypoint: src/deep/train.py\n")
    yield "anchors", b"a: &a [x]\nkind: full\nb: *a\n"


def http_bodies():
    body = {"code": "x = 1\n", "filename": "model.py", "metadata": {"note": "n", "deep": [1, {"a": None}]}}
    yield "json", variant(0, 4) + json.dumps(body).encode()
    yield "archive", variant(0, 4) + json.dumps({"code": "UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA==", "filename": "a.zip"}).encode()


def main(folder):
    for cases in (python_facts, frames, conversions, manifest, http_bodies):
        target = folder / cases.__name__
        target.mkdir(parents=True, exist_ok=True)
        for name, data in cases():
            (target / name).write_bytes(data)


main(Path(sys.argv[1]))
