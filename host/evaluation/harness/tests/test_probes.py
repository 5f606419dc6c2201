"""The probe suite end to end: which runs there are, what a probe that fails leaves, what probes find."""

import json
import sys
import unittest

sys.path.insert(0, __file__.rsplit("/", 1)[0])
import kit

PLAN = json.loads((kit.EVALUATION / "plans" / "smoke-fast.json").read_text())
SHAPES = {  # depth, rows in a step, length, learning rate
    "depth_x4": (8, 8, 128, 1), "seq_x4": (2, 2, 512, 1), "batch_x4": (2, 32, 128, 1), "lr_x3": (2, 8, 128, 3),
    "lr_x10": (2, 8, 128, 10), "recall": (2, 16, 12, 1), "permutation": (2, 8, 128, 1),
}
BUILD = "    return Model(ctx)"
FORWARD = "        length = tokens.shape[1]\n"


def by_probe(telemetry, role="candidate"):
    return {run["probe"]: run for run in telemetry["runs"] if run["role"] == role and run["probe"] not in ("base", "recipe")}


class Suite(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.answer = kit.honest()
        cls.telemetry = cls.answer.telemetry
        cls.candidate = by_probe(cls.telemetry)

    def test_every_probe_has_a_run_of_the_shape_asked_for(self):
        self.assertEqual(set(self.candidate), set(SHAPES))
        self.assertEqual(set(by_probe(self.telemetry, "reference")), set(SHAPES) - {"permutation"})
        steps = {entry["probe"]: entry["steps"] for entry in PLAN["probes"]}
        steps.update(recall=PLAN["recall"]["steps"], permutation=PLAN["permutation"]["steps"])
        for role in ("candidate", "reference"):
            for name, run in by_probe(self.telemetry, role).items():
                self.assertEqual((run["n_layer"], run["batch_seqs"], run["seq_len"], run["lr_mult"]), SHAPES[name], name)
                self.assertEqual((run["d_model"], run["size_id"], run["seed_idx"], run["status"]), (64, "s1", 0, "ok"), name)
                self.assertEqual((run["steps_planned"], run["steps_done"]), (steps[name], steps[name]), name)

    def test_columns_are_as_long_as_the_steps_and_of_the_batch_asked_for(self):
        for name, run in self.candidate.items():
            self.assertEqual({len(column) for column in run["cols"].values() if column is not None}, {run["steps_done"]}, name)
            asked = PLAN["recall"]["queries"] if name == "recall" else run["seq_len"]
            self.assertEqual(set(run["cols"]["n_tok"]), {run["batch_seqs"] * asked}, name)
            self.assertEqual(set(run["trust"]) | {"step"}, set(run["cols"]), name)

    def test_learning_rates_are_those_of_the_base_run_times_the_probe(self):
        base = next(run for run in self.telemetry["runs"] if run["run_id"] == "candidate-base-s1-0")["cols"]["lr"]
        for name, run in self.candidate.items():
            if name != "recall":
                for rate, expected in zip(run["cols"]["lr"], base):
                    self.assertAlmostEqual(rate, expected * run["lr_mult"], places=9, msg=name)

    def test_long_rows_tell_early_from_late(self):
        cols = self.candidate["seq_x4"]["cols"]
        for at, mean in enumerate(n / t for n, t in zip(cols["nll_sum"], cols["n_tok"])):
            self.assertAlmostEqual((cols["nll_early"][at] + cols["nll_late"][at]) / 2, mean, delta=0.3)
        self.assertNotIn("nll_early", self.candidate["depth_x4"]["cols"])

    def test_questions_are_counted(self):
        cols = self.candidate["recall"]["cols"]
        self.assertEqual(cols["n_query"], cols["n_tok"])
        self.assertEqual(self.candidate["recall"]["chance"], 1 / PLAN["recall"]["pairs"])
        self.assertTrue(all(0 <= right <= asked for right, asked in zip(cols["n_right"], cols["n_query"])))

    def test_a_threefold_rate_moves_the_weights_about_threefold(self):
        self.assertGreater(self.telemetry["probe_effect"]["lr_x3_update_ratio"], 1.5)
        self.assertLess(self.telemetry["probe_effect"]["lr_x3_update_ratio"], 4.5)
        base = next(run for run in self.telemetry["runs"] if run["run_id"] == "candidate-base-s1-0")
        self.assertEqual([snapshot["step"] for snapshot in base["snapshots"]], [0, 3, 7])

    def test_sizes_are_those_of_the_ladder(self):
        self.assertEqual({(size["size_id"], size["role"], size["n_layer"]) for size in self.telemetry["sizes"]},
                         {(size_id, role, 2) for size_id in ("s0", "s1") for role in ("candidate", "reference")})

    def test_progress_names_every_run(self):
        frames = self.answer.of("progress")
        self.assertEqual({frame["probe"] for frame in frames}, {"calibrate", "base", "recipe", *SHAPES})
        run_ids = {run["run_id"] for run in self.telemetry["runs"] if "same_as" not in run}
        self.assertLessEqual(run_ids, {frame["run_id"] for frame in frames})
        self.assertTrue(all(frame["step"] <= frame["steps"] and frame["eta_ms"] >= 0 for frame in frames))


class Failures(unittest.TestCase):
    """A fault in a probe ends that probe with a status, and the evaluation goes on."""

    def one(self, project, probe, **changes):
        telemetry = kit.evaluate(project, changes=kit.small(probes=[probe], **changes)).telemetry
        self.assertEqual({run["status"] for run in telemetry["runs"] if run["probe"] in ("base", "recipe")}, {"ok"})
        run = by_probe(telemetry)[probe["probe"]]
        for column in run["cols"].values():
            self.assertIn(len(column or []), (0, run["steps_done"]))
        return run

    def test_a_fixed_position_table_fails_on_long_rows_only(self):
        project = kit.transformer(table=("torch.randn(ctx.sequence_length, ctx.d_model)", "torch.randn(128, ctx.d_model)"))
        telemetry = kit.evaluate(project).telemetry
        status = {name: run["status"] for name, run in by_probe(telemetry).items()}
        self.assertEqual({name for name, how in status.items() if how != "ok"}, {"seq_x4"})
        run = by_probe(telemetry)["seq_x4"]
        self.assertIn(run["status"], ("crash", "contract"))
        self.assertIn("size", run["error"])
        self.assertNotIn("/", run["error"].replace("model.py", ""))
        self.assertEqual((run["steps_done"], run["cols"]["nll_sum"], run["snapshots"]), (0, [], []))

    def test_what_was_measured_before_a_crash_is_kept(self):
        # two passes with gradients settle that one serves for committing and training; then one a step
        crash = "        self.calls = getattr(self, 'calls', 0) + torch.is_grad_enabled()\n        assert len(self.blocks) < 8 or self.calls < 5, 'too deep'\n"
        run = self.one(kit.transformer(crash=(FORWARD, FORWARD + crash)), kit.probe("depth_x4"), inspect=None)
        self.assertEqual((run["status"], run["steps_planned"], run["steps_done"]), ("crash", 3, 2))
        self.assertIn("too deep", run["error"])
        self.assertEqual(len(run["cols"]["nll_sum"]), 2)

    def test_a_model_that_cannot_be_built_deeper(self):
        run = self.one(kit.transformer(build=(BUILD, "    assert ctx.n_layer < 8\n" + BUILD)), kit.probe("depth_x4"))
        self.assertEqual((run["status"], run["steps_done"]), ("crash", 0))

    def test_logits_of_the_wrong_shape(self):
        shape = ("return self.head(self.norm(x))", "return self.head(self.norm(x))[:, :128]")
        run = self.one(kit.transformer(shape=shape), kit.probe("seq_x4", length=2))
        self.assertEqual((run["status"], run["steps_done"]), ("contract", 0))
        self.assertIn("shape", run["error"])

    def test_numbers_that_overflow(self):
        hot = ("return self.head(self.norm(x))", "return self.head(self.norm(x)) * (1e38 ** (len(self.blocks) // 8) * 10 if len(self.blocks) > 4 else 1)")
        self.assertEqual(self.one(kit.transformer(hot=hot), kit.probe("depth_x4"))["status"], "nonfinite")

    def test_a_hang(self):
        hang = "        import time\n        time.sleep(3600 if len(self.blocks) > 4 else 0)\n"
        run = self.one(kit.transformer(hang=(FORWARD, FORWARD + hang)), kit.probe("depth_x4"), open_ms=4000)
        self.assertEqual((run["status"], run["steps_done"]), ("timeout", 0))

    def test_more_time_than_the_base_runs_let_expect(self):
        burn = "        import time\n        end = time.process_time() + (0.4 if len(self.blocks) > 4 else 0)\n        while time.process_time() < end: pass\n"
        run = self.one(kit.transformer(burn=(FORWARD, FORWARD + burn)), kit.probe("depth_x4", steps=6), probe_cpu={"factor": 1, "min_ms": 100})
        self.assertEqual((run["status"], run["steps_planned"]), ("timeout", 6))
        # how much CPU time the base runs took, and so lets expect, depends on what else the machine does
        self.assertIn(run["steps_done"], (1, 2, 3))

    def test_memory(self):
        hog = "        torch.ones(1 << (33 if len(self.blocks) > 4 else 3))\n"
        self.assertEqual(self.one(kit.transformer(hog=(FORWARD, FORWARD + hog)), kit.probe("depth_x4"))["status"], "oom")


class Smuggling(unittest.TestCase):
    PERMUTATION = {"size_id": "s0", "steps": 4, "luck_bits": 0.15}

    def test_an_honest_model_gains_nothing_without_the_permutation(self):
        check = kit.honest().telemetry["checks"]["permutation"]
        self.assertEqual((check["n"], check["viol_frac"]), (PLAN["permutation"]["steps"], 0.0))
        self.assertLess(abs(check["gain_bits_mean"]), 3 * check["gain_bits_se"])

    def test_a_prior_in_the_source_shows_without_the_permutation(self):
        telemetry = kit.evaluate("bigram_prior", changes=kit.small(permutation=self.PERMUTATION)).telemetry
        check = telemetry["checks"]["permutation"]
        self.assertGreater(check["gain_bits_mean"], 2.0)
        self.assertGreater(check["gain_bits_mean"], 6 * check["gain_bits_se"])
        self.assertEqual(check["viol_frac"], 1.0)
        self.assertEqual(telemetry["checks"]["step0"]["viol_frac"], 0.0)  # under the permutation it knows nothing


if __name__ == "__main__":
    unittest.main()
