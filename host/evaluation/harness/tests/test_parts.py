"""The parts that need no process: streams, scoring, the choice of audits, the corpus, messages."""

import hashlib
import json
import math
import os
import pathlib
import random
import struct
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import kit
import torch

from prism_harness import audit, ladder, probes, scoring, training
from prism_harness.corpus import TokenFile
from prism_harness.faults import Fault, safe_text
from prism_harness.job import Rung, parse
from prism_harness.streams import Streams, packed

EVALUATION = pathlib.Path(__file__).resolve().parent.parent.parent
PLANS = {path.stem: json.loads(path.read_text()) for path in (EVALUATION / "plans").glob("*.json")}


class Scoring(unittest.TestCase):
    def test_uniform_logits_cost_ln_v(self):
        values = scoring.step_statistics(torch.zeros(2, 3, 256), torch.zeros(2, 3, dtype=torch.int32))
        self.assertAlmostEqual(values["nll_sum"] / values["n_tok"], math.log(256), places=5)
        self.assertAlmostEqual(values["entropy"], math.log(256), places=5)

    def test_a_shift_of_the_logits_changes_nothing(self):
        logits, targets = torch.randn(2, 5, 256), torch.randint(0, 256, (2, 5))
        self.assertTrue(torch.allclose(scoring.token_nll(logits, targets), scoring.token_nll(logits + 1000.0, targets), atol=1e-3))

    def test_tokens_that_are_not_finite_are_counted_not_summed(self):
        logits = torch.zeros(1, 3, 256)
        logits[0, 0, 7], logits[0, 1, 0] = float("nan"), float("inf")
        values = scoring.step_statistics(logits, torch.ones(1, 3, dtype=torch.int32))
        self.assertEqual(values["nonfinite"], 2)
        self.assertAlmostEqual(values["nll_sum"], math.log(256), places=5)
        json.dumps(values, allow_nan=False)

    def test_kl_of_equals_is_zero_and_one_broken_side_differs_most(self):
        p = scoring.log_probabilities(torch.randn(4, 256))
        broken = torch.full_like(p, float("nan"))
        self.assertEqual(float(scoring.kl_nats(p, p).max()), 0.0)
        self.assertEqual(set(scoring.kl_nats(p, broken).tolist()), {scoring.KL_NATS_MAX})
        self.assertEqual(set(scoring.kl_nats(broken, broken).tolist()), {0.0})
        forbidden = torch.zeros(1, 4)
        forbidden[0, 0] = float("-inf")
        self.assertTrue(math.isfinite(float(scoring.kl_nats(torch.log_softmax(forbidden, -1), torch.log_softmax(torch.zeros(1, 4), -1)))))

    def test_rounding_of_a_diverged_model_is_no_dependence(self):
        logits = torch.randn(8, 256) * 8000
        rounded = logits + torch.randn_like(logits) * 6e-8 * 8000
        kl = scoring.kl_nats(scoring.log_probabilities(logits), scoring.log_probabilities(rounded))
        self.assertEqual(float(kl.max()), 0.0)
        shifted = torch.randn(8, 256)
        other = shifted + 0.1 * torch.randn(8, 256)
        kl = scoring.kl_nats(scoring.log_probabilities(shifted), scoring.log_probabilities(other))
        self.assertGreater(float(kl.min()), 1e-3)

    def test_losses_of_a_diverged_model_stay_numbers(self):
        charged = scoring.charged_nats(torch.tensor([float("nan"), 1e17, 2.0]), 256).tolist()
        self.assertEqual(charged[1:], [scoring.NLL_NATS_MAX, 2.0])
        self.assertAlmostEqual(charged[0], 2 * math.log(256), places=4)


class Choices(unittest.TestCase):
    def setUp(self):
        self.streams = Streams(b"x" * 32)

    def test_permutation_is_one_and_depends_on_the_secret(self):
        self.assertEqual(sorted(self.streams.permutation()), list(range(256)))
        self.assertNotEqual(self.streams.permutation(), Streams(b"y" * 32).permutation())
        self.assertEqual(self.streams.permutation(), Streams(b"x" * 32).permutation())

    def test_audits_cover_the_whole_run_and_every_cut_is_a_prefix(self):
        audits = audit.choose_audits(self.streams, "run", PLANS["smoke"], 150, 8, 128, 500_000)
        self.assertEqual(len(audits), 15)
        self.assertEqual(len({step // 10 for step in audits}), 15)
        for groups in audits.values():
            self.assertEqual(sorted(row for _, rows in groups for row in rows), list(range(8)))
            self.assertTrue(all(1 <= cut <= 128 for cut, _ in groups))
        self.assertNotEqual(audits, audit.choose_audits(self.streams, "other", PLANS["smoke"], 150, 8, 128, 500_000))

    def test_large_snapshots_are_audited_at_fewer_steps(self):
        audits = audit.choose_audits(self.streams, "run", PLANS["smoke"], 150, 8, 128, 60_000_000)
        self.assertEqual(len(audits), 4)


class Length(unittest.TestCase):
    def test_scale_is_the_largest_that_fits(self):
        plan = PLANS["smoke"]
        for share, scale in ((1.0, 1.0), (1.2, 0.8), (10, 0.08)):
            self.assertEqual(ladder.choose_scale(plan, lambda scale: scale * share * plan["budget_ms"]), scale)
        with self.assertRaises(Fault) as caught:
            ladder.choose_scale(plan, lambda scale: scale * 100 * plan["budget_ms"])
        self.assertEqual((caught.exception.code, caught.exception.blame), ("M-TIMEOUT", "miner"))

    def test_probes_shrink_with_the_runs_down_to_a_floor(self):
        self.assertEqual([probes.scaled(40, scale) for scale in (1.0, 0.45, 0.08)], [40, 18, 8])
        self.assertEqual([probes.scaled(4, scale) for scale in (1.0, 0.45, 0.08)], [4, 4, 4])

    def test_another_batch_size_sees_the_same_text(self):
        plan, rung = PLANS["smoke"], Rung("s0", 32, 2, 150)
        for batch in (4, 8, 16, 32):
            self.assertLessEqual(abs(ladder.scaled_steps(plan, rung, 1.0, batch) * batch - 1200), batch)

    def test_batch_size_is_kept_within_the_plan(self):
        plan = PLANS["smoke"]
        self.assertEqual([ladder.own_batch(plan, {"batch_size": b}) for b in (1, 4, 16, 4096, "x", None, True)], [4, 4, 16, 32, 8, 8, 8])


class Recipes(unittest.TestCase):
    def test_dicts_and_objects_are_read_alike(self):
        recipe = training.read_recipe({"learning_rate": "0.01", "optimizer": "SGD", "unknown": 1})
        self.assertEqual((recipe.learning_rate, recipe.batch_size, recipe.optimizer), (0.01, 4, "sgd"))

    def test_schedules_start_low_and_end_where_they_say(self):
        factors = {name: [training.schedule_factor(name, step, 100, 0.05) for step in range(100)] for name in ("cosine", "linear", "constant", "none")}
        for name, values in factors.items():
            self.assertLess(values[0], 0.3, name)
            self.assertAlmostEqual(max(values), 1.0)
        self.assertLess(factors["cosine"][-1], 0.11)
        self.assertLess(factors["linear"][-1], 0.12)
        self.assertEqual(factors["constant"][-1], 1.0)


class Text(unittest.TestCase):
    def test_held_out_text_is_disjoint_and_what_the_readme_says(self):
        folder = EVALUATION / "corpus" / "smoke"
        train, val, readme = (folder / "train.txt").read_bytes(), (folder / "val.txt").read_bytes(), (folder / "README.md").read_text()
        for data in (train, val):
            self.assertIn(hashlib.sha256(data).hexdigest(), readme)
        for at in range(0, len(val) - 300, 4096):
            self.assertNotIn(val[at : at + 300], train)

    def test_rows_are_permuted_and_one_token_longer(self):
        permutation = list(range(255, -1, -1))
        corpus = kit.corpus(bytes(range(256)) * 8, permutation)
        rows = corpus.train_rows(1, 0, 3, 16)
        self.assertEqual(rows.shape, (3, 17))
        self.assertTrue(bool(((rows[:, :-1] - rows[:, 1:]) % 256 == 1).all()))
        plain = corpus.train_rows(1, 0, 3, 16, permuted=False)
        self.assertTrue(bool((rows == 255 - plain).all()))
        self.assertEqual(corpus.count_bytes(rows), rows.numel())

    def test_tokens_of_two_bytes_are_read_in_place_and_their_bytes_counted(self):
        ids = [(7 * at) % 1000 for at in range(4000)]
        table = struct.pack("<1000H", *(at % 5 for at in range(1000)))
        permutation = random.Random(3).sample(range(1000), 1000)
        corpus = kit.corpus(struct.pack("<4000H", *ids), permutation, table)
        plain = corpus.train_rows(9, 0, 4, 20, permuted=False)
        for row, start in zip(plain.tolist(), plain[:, 0].tolist()):
            self.assertEqual(row, [(start + 7 * at) % 1000 for at in range(21)])
        rows = corpus.train_rows(9, 0, 4, 20)
        self.assertEqual(rows.tolist(), [[permutation[token] for token in row] for row in plain.tolist()])
        expected = sum(token % 5 for row in plain.tolist() for token in row)
        self.assertEqual((corpus.count_bytes(rows), corpus.count_bytes(plain, permuted=False)), (expected, expected))
        self.assertEqual(corpus.val_rows(4, 20)[1, 0], permutation[ids[1000]])

    def test_a_corpus_that_contradicts_the_plan_is_the_platforms_fault(self):
        short = struct.pack("<4H", 1, 2, 3, 4)
        for make in (
            lambda: kit.corpus(b"x" * 400, list(range(300))),  # more tokens than a byte can name
            lambda: kit.corpus(short + b"x", list(range(300)), bytes(600)),  # ends within a token
            lambda: kit.corpus(short, list(range(300)), bytes(512)),  # a table of another vocabulary
            lambda: kit.corpus(short, list(range(3)), bytes(6)).val_rows(1, 3),  # a token beyond the vocabulary
            lambda: kit.corpus(short, list(range(300)), bytes(600)).train_rows(1, 0, 1, 4),  # no room for a row
        ):
            with self.assertRaises(Fault) as caught:
                make()
            self.assertEqual(caught.exception.code, "P-DATA")

    def test_a_corpus_cut_short_is_a_fault_and_not_a_signal(self):
        with tempfile.TemporaryFile() as file:
            file.write(bytes(4096))
            file.flush()
            tokens = TokenFile(file.fileno(), 2)
            os.ftruncate(file.fileno(), 100)
            with self.assertRaises(Fault):
                tokens.read(1000, 10)

    def test_a_permutation_is_committed_to_in_one_byte_or_two(self):
        self.assertEqual(packed([1, 0, 255]), bytes([1, 0, 255]))
        self.assertEqual(packed(list(range(257)))[-4:], bytes([255, 0, 0, 1]))

    def test_messages_hold_no_absolute_path_and_no_control_character(self):
        text = safe_text("in /home/someone/secret/model.py: \x1b[31mred \ud800 /job/project/a.py")
        self.assertEqual(text, "in model.py: ?[31mred ? a.py")
        self.assertEqual(len(safe_text("x" * 9000)), 2000)

    def test_a_job_that_is_not_usable_names_what_is_wrong(self):
        for raw in (b"", b"[]", b"{}", b'{"schema":"prism.job/1"}', b"[" * 100_000):
            with self.assertRaises(Fault) as caught:
                parse(raw)
            self.assertEqual(caught.exception.code, "P-JOB")


if __name__ == "__main__":
    unittest.main()
