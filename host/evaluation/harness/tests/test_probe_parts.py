"""The parts of the probe suite that need no process: recall rows, their scores, plans, the reference's cache."""

import copy
import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import torch

from prism_harness import cached_reference, ladder, probes, recall, scoring, shared, streams
from prism_harness.faults import Fault
from prism_harness.job import parse
from prism_harness.streams import Streams

EVALUATION = pathlib.Path(__file__).resolve().parent.parent.parent
PLANS = {path.stem: json.loads(path.read_text()) for path in (EVALUATION / "plans").glob("*.json")}
TASK = probes.Recall(size_id="s1", pairs=4, queries=8, length=20, batch_seqs=64, steps=1)


def job(plan="smoke", **changes):
    part = {"dir": "/project", "entrypoint": "model.py"}
    document = {
        "schema": "prism.job/1", "submission_id": "s", "eval_id": "e", "kind": "full", "tier": "smoke", "architecture": part,
        "training": part, "plan": {**PLANS[plan], **changes}, "seeds": [11, 12, 13], "secret": "5a" * 32,
        "isolation": {"mode": "single_user"}, "limits": {"wall_ms": 1, "memory_bytes": 1, "log_bytes": 1},
        "data": {"corpus_id": "c", "train": "t", "val": "v"},
    }
    return parse(json.dumps(document).encode())


class RecallRows(unittest.TestCase):
    def setUp(self):
        self.choices = Streams(b"x" * 32)
        self.tokens, self.targets = self.rows()

    def rows(self, seed=1, first=0, choices=None):
        return recall.RecallRows(choices or self.choices, TASK, 256).batch(seed, first)

    def test_every_answer_follows_its_key_earlier_in_the_row(self):
        for tokens, targets in zip(self.tokens.tolist(), self.targets.tolist()):
            asked = [at for at, target in enumerate(targets) if target != -100]
            self.assertEqual(len(asked), TASK.queries)
            for at in asked:
                pair = tokens.index(tokens[at])
                self.assertLess(pair + 1, at)
                self.assertEqual(tokens[pair + 1], targets[at])

    def test_nothing_else_is_asked_and_no_answer_follows(self):
        self.assertEqual({int(v) for v in self.targets[:, : 2 * TASK.pairs].flatten()}, {-100})
        for at in recall.query_positions(TASK):
            later = self.tokens[:, at + 1 :]
            self.assertFalse(bool((later == self.targets[:, at : at + 1]).any()))

    def test_keys_and_values_of_a_row_are_all_different_and_of_two_halves(self):
        pairs = self.tokens[:, : 2 * TASK.pairs]
        self.assertEqual({len(set(row)) for row in pairs.tolist()}, {2 * TASK.pairs})
        self.assertEqual(set(pairs[:, 0::2].flatten().tolist()) & set(pairs[:, 1::2].flatten().tolist()), set())

    def test_distances_are_spread_over_the_row(self):
        distances = {at - row.index(row[at]) for row in self.tokens.tolist() for at in recall.query_positions(TASK)}
        self.assertLessEqual(min(distances), 3)
        self.assertGreaterEqual(max(distances), TASK.length - 3)
        self.assertGreater(len(distances), TASK.length // 2)

    def test_rows_follow_from_secret_and_seed_and_differ(self):
        again = self.rows()
        self.assertTrue(torch.equal(self.tokens, again[0]) and torch.equal(self.targets, again[1]))
        others = (self.rows(seed=2), self.rows(first=64), self.rows(choices=Streams(b"y" * 32)))
        for tokens, _ in others:
            self.assertFalse(torch.equal(self.tokens, tokens))
        self.assertEqual(len({tuple(row) for row in self.tokens.tolist()}), TASK.batch_seqs)

    def test_guessing_a_value_of_the_row_is_right_at_one_in_pairs(self):
        right = asked = 0
        for first in range(0, 640, 64):
            tokens, targets = self.rows(first=first)
            positions = recall.query_positions(TASK)
            right += int((targets[:, positions] == tokens[:, 1:2]).sum())  # always the first pair's value
            asked += targets[:, positions].numel()
        self.assertAlmostEqual(right / asked, 1 / TASK.pairs, delta=0.02)


class RecallScores(unittest.TestCase):
    def test_right_answers_are_counted_at_asked_positions_only(self):
        targets = torch.full((2, 6), -100, dtype=torch.int32)
        targets[0, 3], targets[0, 5], targets[1, 4] = 7, 8, 9
        logits = torch.zeros(2, 6, 16)
        logits[:, :, 1] = 5.0
        logits[0, 3, 7] = logits[1, 4, 9] = 50.0
        values = scoring.recall_statistics(logits, targets)
        self.assertEqual((values["n_right"], values["n_query"], values["n_tok"]), (2, 3, 3))
        self.assertAlmostEqual(values["nll_sum"], 5.0, delta=0.2)

    def test_logits_that_are_not_numbers_answer_nothing(self):
        targets = torch.zeros(1, 2, dtype=torch.int32)
        for broken in ("nan", "inf"):
            logits = torch.full((1, 2, 4), float(broken))
            values = scoring.recall_statistics(logits, targets)
            self.assertEqual((values["n_right"], values["n_query"], values["nonfinite"]), (0, 2, 2))

    def test_early_and_late_positions(self):
        logits, targets = torch.zeros(1, 8, 4), torch.zeros(1, 8, dtype=torch.int32)
        logits[0, 6:, 0] = 100.0
        values = scoring.early_and_late(logits, targets)
        self.assertAlmostEqual(values["nll_early"], 1.386, places=3)
        self.assertAlmostEqual(values["nll_late"], 0.0, places=3)


class Plans(unittest.TestCase):
    def test_shared_memory_holds_every_request_of_every_plan(self):
        for name in PLANS:
            described = job(name)
            layout = shared.Layout.for_plan(described.plan)
            for lane in (*ladder.lanes(described), ladder.REFERENCE):
                for batch in (described.plan["batch_seqs"], described.plan["own_recipe"]["batch_max"]):
                    for run in ladder.runs_of(described, lane, batch, 1.0):
                        self.assertLessEqual(run.batch * (run.length + 1) * 4, layout.tokens_bytes, run.run_id)
                        self.assertLessEqual(run.batch * run.length * run.vocab_size * 4, layout.logits_bytes, run.run_id)

    def test_nothing_in_the_context_tells_a_rate_probe_from_a_base_run(self):
        runs = {run.run_id: run for run in ladder.runs_of(job(), ladder.Lane("candidate", False), 8, 1.0)}
        for name in ("lr_x3", "lr_x10", "permutation"):
            self.assertEqual(runs[f"candidate-{name}-s1-0"].spec["context"], runs["candidate-base-s1-0"].spec["context"])

    def test_probes_follow_the_base_runs_schedule_and_never_outlast_it(self):
        for scale in (1.0, 0.35, 0.08):
            runs = {run.run_id: run for run in ladder.runs_of(job(), ladder.Lane("candidate", False), 8, scale)}
            base = runs["candidate-base-s1-0"]
            for run in runs.values():
                if run.probe not in ("base", "recall"):
                    self.assertEqual(run.spec["context"]["step_budget"], base.steps)
                    self.assertLessEqual(run.steps, base.steps)
            self.assertIn(runs["candidate-lr_x3-s1-0"].steps, base.snapshot_after)

    def test_a_plan_that_makes_no_sense_is_refused(self):
        entry, task = PLANS["smoke"]["probes"][0], PLANS["smoke"]["recall"]
        wrong = (
            {"probes": [{**entry, "probe": "width_x4"}]}, {"probes": [{**entry, "size_id": "s9"}]}, {"probes": [entry, entry]},
            {"probes": [{**entry, "depth": 0}]}, {"probes": [{**entry, "depth": 65}]}, {"probes": [{**entry, "lr_mult": -1}]},
            {"recall": {**task, "length": task["length"] - 1}}, {"recall": {**task, "pairs": 1}}, {"permutation": {"size_id": "s9", "steps": 1}},
        )
        for changes in wrong:
            with self.assertRaises(Fault, msg=str(changes)) as caught:
                job(**changes)
            self.assertEqual(caught.exception.code, "P-JOB")


class CachedReference(unittest.TestCase):
    """An earlier evaluation's rows stand in only for what would be measured here."""

    def setUp(self):
        described = job()
        self.wanted = ladder.runs_of(described, ladder.REFERENCE, 8, 1.0)
        self.present = {
            "env": {"torch": "2.1", "blas": "mkl", "device_kind": "cpu", "precision": "fp32", "threads": 1, "image_digest": None},
            "data": {"corpus_id": "c", "train_sha256": "1", "val_sha256": "2", "vocab_size": 256},
            "plan": {"name": "smoke", "sha256": "3"},
            "orders": {seed: streams.order_id(seed) for seed in described.seeds},
        }
        rows = [
            {"role": "reference", "run_id": run.run_id, "probe": run.probe, "size_id": run.rung.size_id, "d_model": run.rung.d_model,
             "n_layer": run.rung.n_layer, "order_id": streams.order_id(run.seed), "steps_planned": run.steps, "steps_done": run.steps,
             "batch_seqs": run.batch, "seq_len": run.length, "lr_mult": run.lr_mult, "status": "ok"}
            for run in self.wanted
        ]
        sizes = [{"role": "reference", "size_id": size_id} for size_id in ("s0", "s1")]
        self.kept = {**{name: copy.deepcopy(self.present[name]) for name in ("env", "data", "plan")}, "runs": rows, "sizes": sizes}

    def taken(self):
        return cached_reference.usable(self.kept, self.present, self.wanted)

    def test_all_rows_are_taken_over_and_marked(self):
        rows = self.taken()
        self.assertEqual([row["run_id"] for row in rows], [run.run_id for run in self.wanted])
        self.assertEqual({row["probe"] for row in rows}, {"base", "depth_x4", "seq_x4", "batch_x4", "lr_x3", "lr_x10", "recall"})
        self.assertEqual({row["cached"] for row in rows}, {True})

    def test_rows_once_taken_over_can_be_taken_over_again(self):
        self.kept["runs"] = self.taken()
        self.assertIsNotNone(self.taken())

    def test_any_difference_in_circumstances_refuses(self):
        for part, names in (("env", self.present["env"]), ("data", self.present["data"]), ("plan", self.present["plan"])):
            for name in names:
                was, self.kept[part][name] = self.kept[part][name], "other"
                self.assertIsNone(self.taken(), f"{part}.{name}")
                del self.kept[part][name]
                self.assertIsNone(self.taken(), f"without {part}.{name}")
                self.kept[part][name] = was
        self.assertIsNotNone(self.taken())

    def test_one_row_that_is_missing_or_other_refuses_all(self):
        whole = self.kept["runs"]
        for at in range(len(whole)):
            self.kept["runs"] = whole[:at] + whole[at + 1 :]
            self.assertIsNone(self.taken(), whole[at]["run_id"])
            for change in ({"status": "crash"}, {"steps_done": 1}, {"seq_len": 7}, {"lr_mult": 2.0}, {"order_id": "o"}, {"same_as": "x"}):
                self.kept["runs"] = whole[:at] + [{**whole[at], **change}] + whole[at + 1 :]
                self.assertIsNone(self.taken(), change)

    def test_what_is_no_reference_refuses(self):
        for nonsense in ({}, {"env": 3}, {**self.kept, "sizes": []}, {**self.kept, "runs": [1]}, {**self.kept, "runs": None}):
            self.assertIsNone(cached_reference.usable(nonsense, self.present, self.wanted))


if __name__ == "__main__":
    unittest.main()
