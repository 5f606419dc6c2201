"""Honest projects: what the telemetry holds."""

import math
import sys
import unittest

sys.path.insert(0, __file__.rsplit("/", 1)[0])
import kit


class HonestTransformer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.answer = kit.honest()
        cls.telemetry = cls.answer.telemetry

    def runs(self, role, own):
        """Full trainings; what the probes show is in test_probes."""
        return [run for run in self.telemetry["runs"]
                if (run["role"], run["own_recipe"], run["probe"]) == (role, own, "recipe" if own else "base")]

    def test_every_run_is_there_and_paired(self):
        for own in (False, True):
            keys = [{(r["size_id"], r["seed_idx"], r["order_id"]) for r in self.runs(role, own)} for role in ("candidate", "reference")]
            self.assertEqual(keys[0], keys[1])
            self.assertEqual(len(keys[0]), 4)
        self.assertEqual({run["status"] for run in self.telemetry["runs"]}, {"ok"})

    def test_columns_are_as_long_as_the_steps_done(self):
        for run in self.telemetry["runs"]:
            for name, column in run["cols"].items():
                if column is not None:
                    self.assertEqual(len(column), run["steps_done"], name)

    def test_loss_starts_at_chance_and_falls(self):
        for run in self.runs("candidate", False):
            per_token = [n / t for n, t in zip(run["cols"]["nll_sum"], run["cols"]["n_tok"])]
            self.assertGreater(per_token[0], math.log(256) - 0.15)
            self.assertLess(per_token[-1], per_token[0] - 0.5)

    def test_no_check_is_violated(self):
        for name in ("step0", "causal_suffix", "causal_replica", "batch_invariance", "determinism"):
            check = self.telemetry["checks"][name]
            self.assertGreater(check["n"], 0, name)
            self.assertEqual(check["viol_frac"], 0.0, name)

    def test_replica_compared_something_real(self):
        check = self.telemetry["checks"]["causal_replica"]
        self.assertGreaterEqual(check["n"], 100)
        for run in self.runs("candidate", False):
            self.assertGreater(run["val"]["n_strict"], 0)
            self.assertAlmostEqual(run["val"]["strict_bpb"], run["val"]["full_bpb"], places=4)

    def test_parameters_are_counted_from_the_weights(self):
        sizes = {s["size_id"]: s["params_total"] for s in self.telemetry["sizes"] if s["role"] == "candidate"}
        self.assertEqual(sizes, {"s0": 46208, "s1": 141312})

    def test_commitments_can_be_verified(self):
        import hashlib

        data = self.telemetry["data"]
        revealed = bytes.fromhex(data["perm_revealed"]) + data["salt_revealed"].encode()
        self.assertEqual(hashlib.sha256(revealed).hexdigest(), data["perm_commit"])
        self.assertEqual(sorted(bytes.fromhex(data["perm_revealed"])), list(range(256)))
        self.assertEqual(self.telemetry["seeds_revealed"], kit.SEEDS)

    def test_nothing_odd_is_reported(self):
        self.assertEqual(self.telemetry["anomalies"], [])
        self.assertEqual(self.telemetry["env"]["layers_missing"], [])

    def test_progress_ends_near_one(self):
        done = [frame["done"] for frame in self.answer.of("progress")]
        self.assertEqual(done, sorted(done))
        self.assertGreater(done[-1], 0.9)


class Kinds(unittest.TestCase):
    def test_architecture_only_has_no_runs_of_its_own_recipe(self):
        telemetry = kit.evaluate("honest", kind="architecture_only", training=False, changes=kit.small()).telemetry
        self.assertEqual({run["own_recipe"] for run in telemetry["runs"]}, {False})

    def test_training_for_an_architecture_uses_both_projects(self):
        trainer = {"model.py": "from layers import RATE\ndef get_recipe(ctx):\n    return {'learning_rate': RATE, 'batch_size': 16}\n",
                   "layers.py": "RATE = 0.004\n"}
        architecture = kit.transformer()
        architecture["layers.py"] = "RATE = None\n"
        architecture["model.py"] = "import layers\n" + architecture["model.py"]
        telemetry = kit.evaluate(trainer, kind="training_for_arch", architecture=architecture, changes=kit.small()).telemetry
        own = [run for run in telemetry["runs"] if run["own_recipe"] and run["role"] == "candidate"]
        self.assertEqual([(run["batch_seqs"], run["steps_done"]) for run in own], [(16, 3)])
        self.assertAlmostEqual(max(own[0]["cols"]["lr"]), 0.004)

    def test_a_model_of_one_size_on_every_rung_is_noted(self):
        project = kit.transformer(size=("    return Model(ctx)", "    import dataclasses\n    return Model(dataclasses.replace(ctx, d_model=32))"))
        rungs = [{"size_id": name, "d_model": width, "n_layer": 1, "steps": 4} for name, width in (("s0", 16), ("s1", 32))]
        telemetry = kit.evaluate(project, kind="architecture_only", training=False, changes=kit.small(sizes=rungs)).telemetry
        self.assertIn({"code": "size_ignored", "n": 1}, telemetry["anomalies"])

    def test_the_recipe_may_lie_in_a_file_of_its_own(self):
        project = kit.transformer(recipe=("learning_rate=0.002", "learning_rate=1e-9"))
        project["train.py"] = (
            "from model import Model\n"
            "def get_recipe(ctx):\n    return {'learning_rate': 0.005, 'scheduler': 'constant'}\n"
            "def configure_optimizer(model, recipe, ctx):\n    assert isinstance(model, Model)\n"
            "    import torch\n    return torch.optim.SGD(model.parameters(), lr=recipe.learning_rate)\n"
        )
        telemetry = kit.evaluate(project, training="train.py", changes=kit.small()).telemetry
        own = [run for run in telemetry["runs"] if run["own_recipe"] and run["role"] == "candidate"][0]
        self.assertEqual((set(own["cols"]["lr"]), own["batch_seqs"], own["steps_done"]), ({0.005}, 4, 12))

    def test_the_host_says_how_many_threads_compute(self):
        says = ("    return Model(ctx)", "    print('threads', torch.get_num_threads(), (torch.ones(300, 300) @ torch.ones(300, 300)).sum())\n    return Model(ctx)")
        short = kit.small(sizes=[{"size_id": "s0", "d_model": 16, "n_layer": 1, "steps": 2}])
        for environment, threads in (({"OMP_NUM_THREADS": "2"}, 2), ({}, 1), ({"OMP_NUM_THREADS": "none"}, 1)):
            answer = kit.evaluate(kit.transformer(says=says), changes=short, environment=environment)
            self.assertEqual(answer.telemetry["env"]["threads"], threads)
            self.assertIn(f"threads {threads} ", answer.log)

    def test_of_two_entry_modules_each_offers_its_own_functions(self):
        # The reader of the facts looks in the same places; its tests have this project too.
        telemetry = kit.evaluate(
            {
                **kit.transformer(),
                "train.py": "from model import get_recipe\n"
                "def build_model(ctx):\n    raise RuntimeError('not an architecture')\n"
                "def inference_logits(model, batch, ctx):\n    raise RuntimeError('not an architecture')\n"
                "infer = build_model\ntrain_step = None\n"
                "def __getattr__(name):\n    return build_model\n",
            },
            training="train.py",
            changes=kit.small(),
        ).telemetry
        self.assertEqual([hook["name"] for hook in telemetry["hooks"] if hook["present"]], [])
        self.assertEqual({run["status"] for run in telemetry["runs"]}, {"ok"})

    def test_same_job_gives_the_same_measurements_and_a_cached_reference_is_spliced_in(self):
        first = kit.honest().telemetry
        second = kit.evaluate("honest", extra={"reference": kit.as_reference(first)}).telemetry
        self.assertEqual([run["run_id"] for run in first["runs"]], [run["run_id"] for run in second["runs"]])
        for before, after in zip(first["runs"], second["runs"]):
            self.assertEqual(before["cols"]["nll_sum"], after["cols"]["nll_sum"])
            self.assertEqual(before["val"], after["val"])
        self.assertEqual({run.get("cached") for run in second["runs"] if run["role"] == "reference"}, {True})
        self.assertEqual({size["size_id"] for size in second["sizes"] if size["role"] == "reference"}, {"s0", "s1"})
        self.assertEqual(second["compute"]["reference_cpu_s"], 0.0)
        self.assertEqual(second["anomalies"], [])

    def test_a_reference_of_another_plan_is_not_taken(self):
        first = kit.honest().telemetry
        second = kit.evaluate("honest", changes=kit.small(), extra={"reference": kit.as_reference(first)}).telemetry
        self.assertEqual({run.get("cached") for run in second["runs"]}, {None})
        self.assertIn({"code": "reference_not_reusable", "n": 1}, second["anomalies"])


class Hooks(unittest.TestCase):
    def test_every_hook_is_called_with_the_documented_precedence(self):
        answer = kit.evaluate("hooks", changes=kit.small())
        hooks = {hook["name"]: (hook["present"], hook["calls"]) for hook in answer.telemetry["hooks"]}
        self.assertEqual({name for name, (present, _) in hooks.items() if present}, set(hooks))
        self.assertEqual(hooks["infer"][1], 0)
        self.assertEqual(hooks["compute_loss"][1], 0)
        for name in ("configure_optimizer", "inference_logits", "train_step"):
            self.assertGreater(hooks[name][1], 0, name)
            self.assertIn(f"called {name}", answer.log)
        self.assertNotIn("called infer\n", answer.log)
        self.assertNotIn("called compute_loss by evaluator", answer.log)

    def test_compute_loss_trains_where_there_is_no_train_step(self):
        project = kit.transformer()
        project["model.py"] += "\ndef compute_loss(model, batch, ctx):\n    print('called compute_loss')\n    return model(batch.tokens).square().mean()\n"
        answer = kit.evaluate(project, changes=kit.small())
        own = [run for run in answer.telemetry["runs"] if run["own_recipe"] and run["role"] == "candidate"][0]
        self.assertIn("called compute_loss", answer.log)
        self.assertLess(max(own["cols"]["loss_reported"]), 2.0)  # the miner's own loss is noted ...
        self.assertGreater(own["cols"]["nll_sum"][-1] / own["cols"]["n_tok"][-1], 5.0)  # ... and does not count


if __name__ == "__main__":
    unittest.main()
