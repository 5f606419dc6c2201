"""How well a smoke run foretells what an architecture reaches with more compute.

    python3 tests/museum/rank.py RESULTS [TARGETS]

RESULTS is what the museum's runner wrote with --out; TARGETS is targets.jsonl beside this file. For each
target: Kendall's tau and the share of pairs that each predictor orders as the target does, over all
pairs and over pairs whose targets differ by more than 2 %. Losses are differences to the reference of
the same evaluation, on the same seeds, because every evaluation draws its own seeds and permutation.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import sys

REFERENCE = "healthy/llama"  # the reference itself, as a project
KAPPA = 0.3  # bits per byte for an e-fold of compute, between sizes (smoke to 17x)
TIME_TOLERANCE = 1.25
Z = 1.645
RECALL_WEIGHT = 0.3  # bits per byte for full recall
GAP = 0.02
GRID = [step / 20 for step in range(0, 21)]


def main() -> int:
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    targets_file = sys.argv[2] if len(sys.argv) > 2 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "targets.jsonl")
    smoke = {row["project"]: predictors(row) for row in lines(sys.argv[1]) if row["kind"] in ("healthy", "weak") and row.get("measured") and row.get("report")}
    targets = list(lines(targets_file))
    for target in sorted({row["target"] for row in targets}):
        rows = {row["project"]: row for row in targets if row["target"] == target and row["project"] in smoke}
        reached = {name: row["val_bpb"] for name, row in rows.items()}
        report(target, {name: smoke[name] for name in reached}, reached)
        if REFERENCE in rows:
            after_costs(rows, smoke)
            signs(rows, smoke)
        print()
    return 0


def lines(path: str):
    with open(path, encoding="utf-8") as file:
        for line in file:
            try:
                yield json.loads(line)
            except ValueError:
                print(f"{path}: a line that is not JSON is left out", file=sys.stderr)


def predictors(row: dict) -> dict[str, float | None]:
    """Lower is better, as in the targets. The largest rung; the mean over its seeds."""
    report, measured = row["report"], row["measured"]
    size_id = max(run["size_id"] for run in measured["runs"] if run["probe"] == "base")
    preq, tail, val = (paired(measured["runs"], size_id, read) for read in (
        lambda run: run["preq_bpb"], lambda run: run["tail_bpb"], lambda run: (run.get("val") or {}).get("full_bpb")))
    both = None if tail is None or val is None else (tail + val) / 2
    metrics = {metric["name"]: metric["value"] for metric in report["metrics"]}
    recall = metrics.get("recall_score")
    parameters = [size["params_total"] for size in measured["sizes"] if size["role"] == "candidate" and size["size_id"] == size_id]
    return {
        "prequential": preq,
        "tail": tail,
        "val": val,
        "tail + val": both,
        "recall alone": None if recall is None else -recall,
        "tail + val - recall": None if both is None or recall is None else both - RECALL_WEIGHT * recall,
        "forecast gain": -report["gain"]["value"],
        "gain, lower bound": -report["gain"]["value"] + 1.645 * report["gain"]["std_error"],
        "q_arch": -report["q_arch"]["value"],
        "parameters": -parameters[0] if parameters else None,
        "_both": both,
        "_recall": recall,
        "_gain": (report["gain"]["value"], report["gain"]["std_error"]),
        "_costs": math.log(metrics["compute_ratio"]),
    }


def paired(runs: list[dict], size_id: str, read) -> float | None:
    """Mean over seeds of candidate minus reference, under the evaluator's recipe."""
    found = {(run["role"], run["seed_idx"]): read(run) for run in runs if run["probe"] == "base" and run["size_id"] == size_id}
    differences = [value - found["reference", seed] for (role, seed), value in found.items()
                   if role == "candidate" and value is not None and found.get(("reference", seed)) is not None]
    return sum(differences) / len(differences) if differences else None


def report(target: str, smoke: dict[str, dict], reached: dict[str, float]) -> None:
    print(f"target {target}, {len(reached)} architectures")
    print(f"  {'predictor':22} {'N':>3} {'tau':>6} {'pairs':>7} {'> 2 %':>7}")
    for predictor in [name for name in next(iter(smoke.values()), {}) if not name.startswith("_")]:
        known = {name: values[predictor] for name, values in smoke.items() if values[predictor] is not None}
        if len(known) > 2:
            print(f"  {predictor:22} {len(known):3} " + shown(known, reached))
    halves(smoke, reached)


def after_costs(rows: dict[str, dict], smoke: dict[str, dict]) -> None:
    """The order by what is left after costs, which is what the scores are for."""
    left = {name: -net(row, rows[REFERENCE]) for name, row in rows.items()}
    for predictor in ("tail + val", "forecast gain", "q_arch"):
        known = {name: smoke[name][predictor] for name in rows if smoke[name][predictor] is not None}
        tau, alike, _ = agreement(known, left)
        print(f"  after costs, {predictor:15} {len(known):3} {tau:6.2f} {alike:7.1%}")


def net(row: dict, reference: dict) -> float:
    """Gain over the reference in e-folds of compute, less the logarithm of what it costs there."""
    ratio = max(row["parameters"] / reference["parameters"], row["cpu_s"] / reference["cpu_s"] / TIME_TOLERANCE)
    return (reference["val_bpb"] - row["val_bpb"]) / KAPPA - math.log(max(ratio, 1.0))


def signs(rows: dict[str, dict], smoke: dict[str, dict]) -> None:
    """Forecast sign against the target's, for every architecture but the reference."""
    reference, before, after = rows[REFERENCE], [], []
    for name, row in sorted(rows.items()):
        if name == REFERENCE:
            continue
        (gain, error), costs = smoke[name]["_gain"], smoke[name]["_costs"]
        before.append((name, gain + costs, error, reference["val_bpb"] - row["val_bpb"]))
        after.append((name, gain, error, net(row, reference)))
    for label, cases in (("before costs", before), ("after costs", after)):
        told = [case for case in cases if abs(case[1]) > Z * case[2]]
        print(f"  sign of the gain, {label}: right {right(cases)}; where the forecast decides {right(told)}")
        wrong = [f"{name} {gain:+.2f} +- {error:.2f} / {reached:+.2f}" for name, gain, error, reached in told if gain * reached <= 0]
        if wrong:
            print(f"    wrong, forecast / reached: {', '.join(wrong)}")


def right(cases: list[tuple]) -> str:
    good = sum(gain * reached > 0 for _, gain, _, reached in cases)
    return f"{good} of {len(cases)}" + (f" ({good / len(cases):.0%})" if cases else "")


def shown(known: dict[str, float], reached: dict[str, float]) -> str:
    tau, right, wide = agreement(known, reached)
    return f"{tau:6.2f} {right:7.1%} {'-' if wide is None else f'{wide:.1%}':>7}"


def agreement(known: dict[str, float], reached: dict[str, float]) -> tuple[float, float, float | None]:
    """Kendall's tau (ties count half), and the shares of pairs ordered alike: all, and those that matter."""
    alike, wide = [], []
    for one, other in itertools.combinations(sorted(known), 2):
        product = (known[one] - known[other]) * (reached[one] - reached[other])
        alike.append(1.0 if product > 0 else 0.5 if product == 0 else 0.0)
        if abs(reached[one] - reached[other]) > GAP * min(reached[one], reached[other]):
            wide.append(alike[-1])
    right = sum(alike) / len(alike)
    return 2 * right - 1, right, sum(wide) / len(wide) if wide else None


def halves(smoke: dict[str, dict], reached: dict[str, float]) -> None:
    """The weight of recall, chosen on every second architecture and tried on the others."""
    names = sorted((name for name in smoke if smoke[name]["_both"] is not None and smoke[name]["_recall"] is not None), key=reached.get)
    if len(names) < 8:
        return
    for fit, test in ((names[0::2], names[1::2]), (names[1::2], names[0::2])):
        weight = max(GRID, key=lambda weight: agreement(weighed(smoke, fit, weight), reached)[0])
        print(f"  recall weight {weight:.2f} fitted on {len(fit):3}: on the other half " + shown(weighed(smoke, test, weight), reached))


def weighed(smoke: dict[str, dict], names: list[str], weight: float) -> dict[str, float]:
    return {name: smoke[name]["_both"] - weight * smoke[name]["_recall"] for name in names}


if __name__ == "__main__":
    raise SystemExit(main())
