"""Graphs as data: what the interpreter runs, what it refuses, and that an honest model equals its graph."""

import importlib.util
import sys
import unittest

sys.path.insert(0, __file__.rsplit("/", 1)[0])
import kit
import torch

from prism_harness import attest, replay
from prism_harness.job import Rung
from prism_harness.training_run import RunPlan

EXPORTS = importlib.util.find_spec("torch.export") is not None


def graph(*nodes, **inputs):
    return {"inputs": {"t": "tokens", "w": {"weight": "w"}, **inputs}, "nodes": list(nodes), "output": nodes[-1]["name"] if nodes else "t"}


def node(op, *args, name="n", **kwargs):
    return {"name": name, "op": op, "args": list(args), "kwargs": kwargs}


class Interpreter(unittest.TestCase):
    WEIGHTS = {"w": torch.randn(9, 5)}
    TOKENS = torch.tensor([[0, 3, 8]])

    def run_graph(self, made):
        return replay.run(made, self.WEIGHTS, self.TOKENS)[0]

    def test_operations_on_weights_and_constants_run(self):
        made = graph(
            node("aten.embedding.default", {"node": "w"}, {"node": "t"}, name="a"),
            node("aten.split.Tensor", {"node": "a"}, 2, -1, name="b"),
            node("getitem", {"node": "b"}, 1, name="c"),
            node("aten.masked_fill.Scalar", {"node": "c"}, {"node": "m"}, {"number": "-inf"}, name="d"),
            node("aten._softmax.default", {"node": "d"}, -1, False),
            m={"constant": [False, True], "shape": [2], "dtype": "bool"},
        )
        expected = self.WEIGHTS["w"][self.TOKENS][..., 2:4].masked_fill(torch.tensor([False, True]), float("-inf")).softmax(-1)
        self.assertTrue(torch.equal(self.run_graph(made), expected))

    def test_anything_else_is_refused(self):
        one = {"constant": [1.0], "shape": [1], "dtype": "float32"}
        for made in (
            None, [], {}, {"nodes": 7}, {"nodes": [7]}, {"nodes": [{"op": 7}]}, graph(), graph(node("aten.embedding.default", {"node": "w"}, {"node": "t"}), x=7),
            graph(node("aten.load.default")), graph(node("aten.as_strided.default", {"node": "w"}, [9], [1], 0)), graph(node("aten.from_file.default", "floor")),
            graph(node("prims.add.default", {"node": "w"}, 1)), graph(node("torch.load", "x")), graph(node("aten.add_.Tensor", {"node": "w"}, 1)),
            graph(node("aten.__class__.__init__")), graph(node("getitem", {"node": "w"}, 0)), graph(node("getitem", [1], "a")),
            graph(node("aten.abs.default", {"node": "unknown"})), graph(node("aten.abs.default", {"weight": "w"})), graph(node("aten.abs.default", "/etc/passwd")),
            graph(node("aten.full.default", [1 << 20, 1 << 20], 1.0)), graph(node("aten.ones.default", [1 << 40])), graph(node("aten.arange.default", 1 << 40)),
            graph(node("aten.abs.default", {"node": "w"}), w={"weight": "missing"}), graph(node("aten.abs.default", {"node": "t"})),
            graph(node("aten.abs.default", {"node": "c"}), c={**one, "shape": [2]}), graph(node("aten.abs.default", {"node": "c"}), c={**one, "dtype": "object"}),
            graph(node("aten.abs.default", {"node": "c"}), c={**one, "constant": ["x"]}), graph(node("aten.abs.default", {"node": "c"}), c={"constant": [0.0] * 70_000, "shape": [70_000], "dtype": "float32"}),
            graph(*[node("aten.abs.default", {"node": "w"})] * 20_001), graph(node("aten.abs.default", [[[[[[1]]]]]])), {**graph(node("aten.abs.default", {"node": "w"})), "output": 3},
        ):
            with self.assertRaises(replay.GraphError, msg=str(made)[:200]):
                self.run_graph(made)

    def test_every_allowed_operation_is_free_of_side_effects(self):
        for name in replay.ALLOWED:
            base = name.split(".")[1]
            self.assertFalse(base.endswith("_") or "out" in name.split(".")[2].split("_"), name)
            self.assertNotIn(base, ("as_strided", "set", "resize", "from_file", "empty", "new_empty", "data", "storage"), name)


class Operations(unittest.TestCase):
    """A multiplication and an addition are two; shapes are (rows, inner) times (inner, columns)."""

    def counted(self, *nodes, **inputs):
        weights = {"w": torch.randn(9, 5), "v": torch.randn(5, 7), "k": torch.randn(6, 3, 4), "x": torch.randn(2, 3, 8), "q": torch.randn(1, 2, 8, 4)}
        sources = {name: {"weight": name} for name in weights}
        return replay.run(graph(*nodes, **{**sources, **inputs}), weights, torch.tensor([[0, 3, 8]]))[1]

    def test_contractions_are_counted_exactly(self):
        n = lambda name: {"node": name}
        for count, made in (
            (2 * 9 * 7 * 5, node("aten.mm.default", n("w"), n("v"))),
            (2 * 9 * 9 * 5, node("aten.linear.default", n("w"), n("w"))),
            (2 * 9 * 7 * 5, node("aten.einsum.default", "ij,jk->ik", [n("w"), n("v")])),
            (2 * (2 * 6 * 5) * (3 * 4), node("aten.conv1d.default", n("x"), n("k"))),
            (45, node("aten.tanh.default", n("w"))),
            (0, node("aten.t.default", n("w"))),
        ):
            self.assertEqual(self.counted(made), count, made["op"])
        if hasattr(torch.ops.aten, "scaled_dot_product_attention"):
            self.assertEqual(self.counted(node("aten.scaled_dot_product_attention.default", n("q"), n("q"), n("q"))), 4 * (2 * 8 * 4) * 8)

    def test_every_pass_through_a_shared_weight_counts(self):
        once = node("aten.mm.default", {"node": "w"}, {"node": "v"}, name="a")
        again = node("aten.mm.default", {"node": "w"}, {"node": "v"}, name="b")
        self.assertEqual(self.counted(once, again), 2 * self.counted(once))


@unittest.skipUnless(EXPORTS, "this PyTorch cannot export")
class Attestation(unittest.TestCase):
    def setUp(self):
        self.bed = kit.Bed()
        self.addCleanup(self.bed.close)

    def attest(self, project):
        """What the check says of a worker after two steps."""
        folder = kit.EVALUATION / "corpus" / "smoke"
        corpus = kit.corpus((folder / "train.txt").read_bytes())
        peer = self.bed.peer(project)
        for _ in range(2):
            peer.step(self.bed.rows())
        plan = RunPlan(run_id="r", role="candidate", probe="base", rung=Rung("s1", 64, 2, 10), seed_idx=0, seed=5, own_recipe=False, steps=10, batch=8,
                       length=128, vocab_size=256, spec=self.bed.spec)
        committed = attest.commit(peer, corpus, plan, 2)
        peer.end()
        row, self.operations = attest.check(self.bed.bench, "candidate", committed)
        return row

    def test_honest_models_equal_their_graphs(self):
        for project in ("reference", "honest", "cached"):
            row = self.attest(project)
            self.assertTrue(row["supported"], project)
            self.assertLess(row["max"], 1e-5, project)
            self.assertEqual((row["n"], row["viol_frac"]), (256, 0.0))
            self.assertEqual(len(row["graph_sha256"]), 64)
            self.assertGreater(row["ops"], 10)
        # six for each of 130,368 parameters but the embedding's, and attention over 128 positions in two layers of width 64
        self.attest("reference")
        self.assertTrue(1.0 < self.operations / (6 * (130_368 - 256 * 64) + 3 * 2 * 4 * 128 * 64) < 1.1, self.operations)

    def test_memory_outside_the_weights_does_not_equal_the_graph(self):
        project = kit.transformer(state=(
            "        return self.head(self.norm(x))",
            "        self.steps = getattr(self, 'steps', 0) + self.training\n        return self.head(self.norm(x)) * (1 + 0.05 * self.steps)"))
        row = self.attest(project)
        self.assertTrue(row["supported"])
        self.assertEqual(row["viol_frac"], 1.0)

    def test_what_cannot_be_exported_is_not_supported_and_no_fault(self):
        project = kit.transformer(choice=("        return self.head(self.norm(x))", "        if float(x.sum()) > 0:\n            x = x + 1\n        return self.head(self.norm(x))"))
        row = self.attest(project)
        self.assertEqual((row["supported"], row["n"], row["graph_sha256"]), (False, 0, None))

    def test_a_forged_graph_is_a_violation_or_not_supported(self):
        lie = ("\nimport prism_harness.wire as wire\nhonest_send = wire.send\ndef send(sock, message, *rest):\n"
               "    if 'graph' in message: message['graph'] = %s\n    honest_send(sock, message, *rest)\nwire.send = send\n")
        constant = ("{'inputs': {'t': 'tokens'}, 'output': 'n', 'nodes': [{'name': 'n', 'op': 'aten.full.default', 'args': [[2, 128, 256], 0.0]}]}", True)
        malformed = ("{'nodes': 'x'}", False)
        endless = ("{'inputs': {'t': 'tokens'}, 'output': 'n', 'nodes': [{'name': 'n', 'op': 'aten.repeat.default', 'args': [{'node': 't'}, [1 << 30, 1]]}]}", False)
        for made, supported in (constant, malformed, endless):
            project = kit.transformer()
            project["model.py"] += lie % made
            row = self.attest(project)
            self.assertEqual((row["supported"], row["viol_frac"]), (supported, float(supported)), made)

    def test_it_is_a_check_of_an_evaluation_where_the_plan_has_it(self):
        telemetry = kit.evaluate("honest", kind="architecture_only", training=False, changes=kit.small(attest={"rows": 2})).telemetry
        check = telemetry["checks"]["replay"]
        self.assertTrue(check["supported"])
        self.assertLess(check["max"], 1e-5)
        self.assertEqual({size["flops_source"] for size in telemetry["sizes"]}, {"graph"})
        elsewhere = kit.evaluate("honest", kind="architecture_only", training=False, changes=kit.small(attest={"rows": 2, "size_ids": ["s9"]})).telemetry
        self.assertNotIn("replay", elsewhere["checks"])
        self.assertEqual({size["flops_source"] for size in elsewhere["sizes"]}, {"parameters"})


@unittest.skipIf(EXPORTS, "this PyTorch can export")
class WithoutExport(unittest.TestCase):
    def test_an_old_pytorch_says_that_it_is_not_supported(self):
        telemetry = kit.evaluate("honest", kind="architecture_only", training=False, changes=kit.small(attest={"rows": 2})).telemetry
        check = telemetry["checks"]["replay"]
        self.assertEqual((check["supported"], check["n"]), (False, 0))
        for size in telemetry["sizes"]:
            self.assertEqual((size["flops_source"], size["flops_per_token"]), ("parameters", 6.0 * size["params_total"]))


if __name__ == "__main__":
    unittest.main()
