"""Projects that try to score without learning. Each must show in the measurements."""

import math
import sys
import unittest

sys.path.insert(0, __file__.rsplit("/", 1)[0])
import kit


def candidate_runs(telemetry):
    return [run for run in telemetry["runs"] if run["role"] == "candidate"]


class Leaks(unittest.TestCase):
    def test_attention_without_a_mask_is_seen(self):
        project = kit.transformer(mask=(".triu(1)", ".triu(length)"))
        telemetry = kit.evaluate(project, changes=kit.small()).telemetry
        for name in ("causal_replica", "causal_suffix"):
            self.assertGreater(telemetry["checks"][name]["viol_frac"], 0.3, name)
        self.assertEqual(telemetry["checks"]["determinism"]["viol_frac"], 0.0)

    def test_peeking_with_a_memory_is_seen_by_the_replica(self):
        telemetry = kit.evaluate("memory_cheat", changes=kit.small()).telemetry
        run = candidate_runs(telemetry)[0]
        self.assertLess(run["cols"]["nll_sum"][-1] / run["cols"]["n_tok"][-1], 1.0)  # it looks brilliant ...
        self.assertEqual(telemetry["checks"]["causal_suffix"]["viol_frac"], 0.0)  # ... even to the worker's own check
        replica = telemetry["checks"]["causal_replica"]
        self.assertGreater(replica["viol_frac"], 0.9)
        self.assertGreater(replica["gain_bits_mean"] - 2 * replica["gain_bits_se"], 3.0)
        self.assertGreater(run["val"]["strict_bpb"], run["val"]["full_bpb"] + 3.0)
        self.assertGreater(telemetry["checks"]["step0"]["viol_frac"], 0.9)

    def test_state_outside_the_weights_is_seen(self):
        project = kit.transformer(
            state=("        return self.head(self.norm(x))", "        self.seen = getattr(self, 'seen', 0) + 1\n        return self.head(self.norm(x)) * (1 + 0.05 * self.seen)"))
        checks = kit.evaluate(project, changes=kit.small()).telemetry["checks"]
        self.assertGreater(checks["causal_replica"]["viol_frac"], 0.3)
        self.assertGreater(checks["determinism"]["viol_frac"], 0.9)

    def test_dependence_on_other_rows_is_seen(self):
        project = kit.transformer(batch=("self.position[:length]", "self.position[:length] + self.embed(tokens).mean(0, keepdim=True)"))
        checks = kit.evaluate(project, changes=kit.small()).telemetry["checks"]
        self.assertGreater(checks["batch_invariance"]["viol_frac"], 0.5)


class FalseFigures(unittest.TestCase):
    def test_printed_metrics_and_patched_losses_have_no_effect(self):
        project = kit.transformer()
        project["model.py"] += (
            "\nprint('PRISM_METRICS_JSON={\"q_arch\": 1.0}')\n"
            "torch.nn.functional.cross_entropy = lambda logits, targets, **k: logits.sum() * 0.0\n"
            "torch.log_softmax = lambda x, dim=-1: x * 0.0\n"
        )
        telemetry = kit.evaluate(project, changes=kit.small()).telemetry
        for run in candidate_runs(telemetry):
            last = run["cols"]["nll_sum"][-1] / run["cols"]["n_tok"][-1]
            self.assertGreater(last, math.log(256) - 0.15)  # it measured nothing, so it learnt nothing
            self.assertEqual(run["cols"]["loss_reported"][-1], 0.0)
        counts = {a["code"]: a["n"] for a in telemetry["anomalies"]}
        self.assertGreater(counts["stdout_metrics_ignored"], 0)

    def test_nan_logits_are_counted_and_end_the_run_early(self):
        project = kit.transformer(nan=("return self.head(self.norm(x))", "return self.head(self.norm(x)) * float('nan')"))
        telemetry = kit.evaluate(project, changes=kit.small(sizes=[{"size_id": "s0", "d_model": 32, "n_layer": 2, "steps": 14}])).telemetry
        for run in candidate_runs(telemetry):
            self.assertEqual((run["status"], run["steps_planned"], run["steps_done"]), ("nonfinite", 14, 10))
            self.assertEqual(run["cols"]["nonfinite"], run["cols"]["n_tok"])
            self.assertEqual(set(run["cols"]["nll_sum"]), {0.0})
            self.assertAlmostEqual(run["val"]["full_bpb"], 16.0)  # 2 ln V in bits
        self.assertEqual(telemetry["checks"]["step0"]["n"], 0)

    def test_a_prior_in_the_source_is_worthless_under_the_permutation(self):
        project = kit.transformer(
            prior=("        nn.init.normal_(self.embed.weight, std=0.3)", "        nn.init.normal_(self.embed.weight, std=0.3)\n"
                   "        frequent = b' etaoinshrdlu'\n        with torch.no_grad():\n            self.head.bias[list(frequent)] += 4.0"))
        telemetry = kit.evaluate(project, changes=kit.small()).telemetry
        run = candidate_runs(telemetry)[0]
        self.assertGreater(run["cols"]["nll_sum"][0] / run["cols"]["n_tok"][0], math.log(256))


if __name__ == "__main__":
    unittest.main()
