"""What the scorer learns of a model's inside, asked of real guests without an evaluation around them."""

import json
import math
import sys
import unittest

sys.path.insert(0, __file__.rsplit("/", 1)[0])
import kit
import torch

from prism_harness import layers, operations, scoring, snapshot
from prism_harness.faults import Fault
from prism_harness.inspect_model import activation_row, repeated_blocks
from prism_harness.job import Rung
from prism_harness.training_run import RunPlan


class Guests(unittest.TestCase):
    """Each test has a bed of its own: one guest lives at a time."""

    def setUp(self):
        self.bed = kit.Bed()
        self.addCleanup(self.bed.close)

    def of_kind(self, seen, kind):
        return [row for row in seen["layers"] if row["kind"] == kind]


def source(name):
    return (kit.PROJECTS / name / "model.py").read_text()


def altered(name, old, new):
    text = source(name)
    assert text.count(old) == 1, old
    return {"model.py": text.replace(old, new)}


class Layers(Guests):
    def test_the_reference_shows_two_sane_blocks(self):
        seen = self.bed.peer("reference").inspect(self.bed.rows())
        blocks, attention = self.of_kind(seen, "block"), self.of_kind(seen, "attn")
        self.assertEqual([row["layer"] for row in blocks], [0, 1])
        for row in blocks:
            self.assertEqual((row["trust"], row["act_nonfinite"]), ("U", 0))
            self.assertTrue(0.3 < row["act_rms"] < 1.0, row)
            self.assertTrue(row["act_rms"] < row["act_absmax"] < 10.0, row)
            self.assertTrue(1.0 <= row["act_chan_kurt"] < 1.5, row)
            self.assertTrue(1e-6 < row["grad_rms"] < 1e-2, row)
        self.assertEqual(len(attention), 2)
        for row in attention:
            self.assertTrue(0.1 < row["attn_logit_absmax"] < 5.0, row)
            self.assertTrue(0.8 < row["attn_entropy_frac"] <= 1.0, row)
        self.assertTrue(0.05 < seen["grad_norm"] < 5.0)

    def test_operands_of_products_show_what_is_scaled_up_and_down_within_a_block(self):
        calm = self.of_kind(self.bed.peer("reference").inspect(self.bed.rows()), "product")
        self.assertEqual(len(calm), 1)
        self.assertTrue(0.5 < calm[0]["act_absmax"] < 20.0, calm)
        other = kit.Bed()
        self.addCleanup(other.close)
        bomb = other.peer(kit.transformer(scale=("return x + self.down(", "return x + 1e-6 * self.down(1e6 * "))).inspect(other.rows())
        self.assertGreater(self.of_kind(bomb, "product")[0]["act_absmax"], 16_376)
        self.assertLess(max(row["act_absmax"] for row in self.of_kind(bomb, "block")), 20.0)

    def test_an_exploding_residual_grows_from_layer_to_layer(self):
        project = kit.transformer(gain=("return x + self.down(", "return 3 * x + self.down("))
        rms = [row["act_rms"] for row in self.of_kind(self.bed.peer(project, depth=6).inspect(self.bed.rows()), "block")]
        self.assertEqual(len(rms), 6)
        for before, after in zip(rms, rms[1:]):
            self.assertGreater(after, 2.5 * before)

    def test_an_outlier_channel_shows_as_kurtosis(self):
        plain = torch.randn(4, 32, 64)
        spoiled = plain.clone()
        spoiled[..., 3] *= 100.0
        self.assertLess(activation_row(plain)["act_chan_kurt"], 1.1)
        self.assertGreater(activation_row(spoiled)["act_chan_kurt"], 50.0)

    def test_activations_that_are_not_finite_are_counted(self):
        broken = torch.ones(2, 3, 4)
        broken[0, 0, 0], broken[1, 1, 1] = float("nan"), float("inf")
        row = activation_row(broken)
        self.assertEqual(row["act_nonfinite"], 2)
        json.dumps(row, allow_nan=False)
        project = kit.transformer(nan=("return self.head(self.norm(x))", "return self.head(self.norm(x)) * float('nan')"))
        seen = self.bed.peer(project).inspect(self.bed.rows())
        self.assertIsNone(seen["grad_norm"])
        self.assertEqual(self.of_kind(seen, "head")[0]["act_nonfinite"], 8 * 128 * 256)

    def test_fake_depth_has_no_gradient(self):
        project = kit.transformer(fake=("            x = block(x, mask)", "            y = block(x, mask)\n            x = y if block is self.blocks[0] else x + 0 * y.detach()"))
        grads = [row["grad_rms"] for row in self.of_kind(self.bed.peer(project).inspect(self.bed.rows()), "block")]
        self.assertGreater(grads[0], 0.0)
        self.assertEqual(grads[1], 0.0)

    def test_blocks_are_found_in_lists_sequences_and_dicts(self):
        nn = torch.nn

        class Block(nn.Module):
            def __init__(self):
                super().__init__()
                self.experts = nn.ModuleList(nn.Linear(4, 4) for _ in range(8))

        listed = nn.ModuleDict({"embed": nn.Embedding(9, 4), "blocks": nn.ModuleList(Block() for _ in range(3)), "head": nn.Linear(4, 9)})
        listed = nn.Sequential(listed["embed"], listed["blocks"], listed["head"])
        self.assertEqual([type(block) for block in repeated_blocks(listed)], [Block] * 3)
        chained = nn.Sequential(nn.Embedding(9, 4), nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), nn.GELU(), nn.Linear(4, 4)) for _ in range(3))), nn.Linear(4, 9))
        self.assertEqual([len(block) for block in repeated_blocks(chained)], [3, 3, 3])
        paired = nn.Module()
        paired.layers = nn.ModuleList(nn.ModuleList([nn.Sequential(nn.Linear(4, 4)), Block()]) for _ in range(2))
        self.assertEqual(len(repeated_blocks(paired)), 4)
        plain = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 9))
        self.assertEqual([type(block) for block in repeated_blocks(plain)], [nn.Linear])


class Untouched(Guests):
    RESTLESS = {
        **kit.transformer(
            noise=("return x + self.down(torch.nn.functional.gelu(self.up(self.norm2(x))))",
                   "self.count += 1\n        self.seen = self.seen * 0.9 + x.detach().mean()\n"
                   "        return x + torch.nn.functional.dropout(self.down(torch.nn.functional.gelu(self.up(self.norm2(x)))), 0.2, self.training)"),
            buffer=("        self.heads = heads", "        self.heads = heads\n        self.register_buffer('count', torch.zeros(1))\n        self.register_buffer('seen', torch.zeros(()))"),
        )
    }

    def test_looking_changes_neither_weights_nor_the_next_step(self):
        told = []
        for looks in (False, True):
            peer, rows = self.bed.peer(self.RESTLESS), self.bed.rows()
            peer.step(rows)
            before = peer.state()
            if looks:
                peer.inspect(self.bed.rows(seed=2))
                self.assertEqual(peer.state().raw, before.raw)
                peer.predict(rows[:2, :-1], 256, precision="bf16")
                self.assertEqual(peer.state().raw, before.raw)
            step = peer.step(rows)
            told.append((before.raw, step["loss"], step["grad_norm"], peer.state().raw))
            peer.end()
        self.assertEqual(told[0], told[1])
        self.assertNotEqual(told[0][0], told[0][3])


class Attention(unittest.TestCase):
    def test_every_way_to_mask_gives_the_same_row(self):
        logits = torch.randn(2, 3, 16, 16)
        ahead = torch.ones(16, 16, dtype=torch.bool).triu(1)
        rows = [operations.attention_row(masked, masked.softmax(-1)) for masked in
                (logits.masked_fill(ahead, -math.inf), logits.masked_fill(ahead, -1e9), logits + ahead * -1e4)]
        for row in rows:
            self.assertAlmostEqual(row["attn_logit_absmax"], float(logits.masked_fill(ahead, 0).abs().max()), places=3)
            self.assertAlmostEqual(row["attn_entropy_frac"], rows[0]["attn_entropy_frac"], places=4)

    def test_uniform_attention_has_all_the_entropy_and_a_hot_one_none(self):
        ahead = torch.ones(16, 16, dtype=torch.bool).triu(1)
        uniform = torch.zeros(1, 16, 16).masked_fill(ahead, -math.inf)
        self.assertAlmostEqual(operations.attention_row(uniform, uniform.softmax(-1))["attn_entropy_frac"], 1.0, places=5)
        hot = (torch.randn(1, 16, 16) * 1000).masked_fill(ahead, -math.inf)
        row = operations.attention_row(hot, hot.softmax(-1))
        self.assertLess(row["attn_entropy_frac"], 0.05)
        self.assertGreater(row["attn_logit_absmax"], 1000.0)

    def test_what_looks_ahead_is_no_attention(self):
        features = torch.randn(2, 16, 16)
        self.assertIsNone(operations.attention_row(features, features.softmax(-1)))

    @unittest.skipUnless(hasattr(torch.nn.functional, "scaled_dot_product_attention"), "PyTorch 1.13 has no fused attention")
    def test_fused_attention_is_seen_like_written_out(self):
        q, k, v = (torch.randn(2, 4, 16, 8) for _ in range(3))
        ahead = torch.ones(16, 16, dtype=torch.bool).triu(1)
        with operations.OperationWatch(2, 16, 256) as watch:
            torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=~ahead)
            (q @ k.transpose(-1, -2) * 8**-0.5).masked_fill(ahead, -math.inf).softmax(-1)
        self.assertEqual(len(watch.attention), 3)
        for row in watch.attention[:2]:
            for name, value in watch.attention[2].items():
                self.assertAlmostEqual(row[name], value, places=4)


ROUTED = {
    "top": "weights, chosen = self.router(x).softmax(-1).topk(2, -1)",
    "after": "best, chosen = self.router(x).topk(2, -1); weights = best.softmax(-1)",
}


class Routers(Guests):
    def project(self, how, bias):
        return kit.transformer(
            expert=("        self.heads = heads", f"        self.heads = heads\n        self.router = nn.Linear(width, 4)\n        self.router.bias.data[0] += {bias}\n"
                    "        self.experts = nn.ModuleList(nn.Linear(width, width) for _ in range(4))"),
            route=("        return x + self.down(", f"        {ROUTED[how]}\n        for slot in range(2):\n            for at, expert in enumerate(self.experts):\n"
                   "                x = x + (chosen[..., slot] == at).unsqueeze(-1) * weights[..., slot : slot + 1] * expert(x)\n        return x + self.down("),
        )

    def test_choices_are_counted_per_expert(self):
        for how in ROUTED:
            peer = self.bed.peer(self.project(how, 50.0))
            rows = self.of_kind(peer.inspect(self.bed.rows()), "router")
            peer.end()
            self.assertEqual(len(rows), 2, how)
            for row in rows:
                self.assertEqual(len(row["router_load"]), 4)
                self.assertAlmostEqual(row["router_load"][0], 0.5, places=5)  # the first of two choices, always
                self.assertAlmostEqual(sum(row["router_load"]), 1.0, places=4)

    def test_a_model_without_a_router_has_no_router_rows(self):
        self.assertEqual(self.of_kind(self.bed.peer("honest").inspect(self.bed.rows()), "router"), [])


class HostileReplies(Guests):
    def lie(self, expression):
        project = kit.transformer()
        project["model.py"] += (
            "\nimport prism_harness.wire as wire\nhonest_send = wire.send\ndef send(sock, message, *rest):\n"
            f"    if 'layers' in message: message.update({expression})\n    honest_send(sock, message, *rest)\nwire.send = send\n")
        with self.assertRaises(Fault) as caught:
            self.bed.peer(project).inspect(self.bed.rows())
        return caught.exception.code

    def test_numbers_that_are_not_json_end_in_an_invalid_frame(self):
        for value in ("float('nan')", "float('inf')"):
            self.assertEqual(self.lie(f"layers=[{{'kind': 'block', 'layer': 0, 'act_rms': {value}}}]"), "M-FRAME-INVALID")

    def test_rows_of_a_wrong_form_break_the_contract(self):
        row = "{'kind': 'block', 'layer': 0, %s}"
        for layers_ in (
            "7", "None", "{}", "[7]", "[[]]", "[{}]", "[{'kind': 'block'}]",
            "[{'kind': 'weights', 'layer': 0}]", "[{'kind': ['block'], 'layer': 0}]", "[{'kind': 'block', 'layer': True}]",
            "[{'kind': 'block', 'layer': -1}]", "[{'kind': 'block', 'layer': 1 << 70}]",
            "[{'kind': 'block', 'layer': 0}] * 2", "[{'kind': 'block', 'layer': at} for at in range(65)]",
            "[{'kind': 'block', 'layer': at} for at in range(9000)]",
            *(f"[{row % member}]" for member in (
                "'act_rms': -1.0", "'act_rms': '1'", "'act_rms': True", "'act_rms': [1.0]", "'act_rms': 10 ** 400", "'act_rms': None",
                "'act_nonfinite': 1.5", "'act_nonfinite': -1", "'attn_entropy_frac': 1.5", "'trust': 'T'", "'unknown': 1.0",
                "'router_load': 0.5", "'router_load': [1.0]", "'router_load': [0.5, 0.6]", "'router_load': [0.01] * 100", "'router_load': ['a', 'b']",
                "'router_load': [-0.5, 1.5]")),
        ):
            self.assertEqual(self.lie(f"layers={layers_}"), "M-CONTRACT", layers_)

    def test_a_norm_that_is_no_number_is_no_norm(self):
        for value in ("'x'", "-1.0", "True", "10 ** 400", "[]"):
            project = kit.transformer()
            project["model.py"] += (
                "\nimport prism_harness.wire as wire\nhonest_send = wire.send\ndef send(sock, message, *rest):\n"
                f"    if 'layers' in message: message['grad_norm'] = {value}\n    honest_send(sock, message, *rest)\nwire.send = send\n")
            peer = self.bed.peer(project)
            self.assertIsNone(peer.inspect(self.bed.rows(2))["grad_norm"], value)
            peer.end()


class Incremental(Guests):
    def divergence(self, project):
        peer, tokens = self.bed.peer(project), self.bed.rows(2)[:, :96].contiguous()
        for _ in range(3):
            peer.step(self.bed.rows())
        whole, parts = peer.predict(tokens, 256), peer.incremental(tokens, 256)
        return peer.keeps_state, scoring.kl_nats(scoring.log_probabilities(whole), scoring.log_probabilities(parts), rounding=0.0)

    def test_a_correct_cache_agrees_with_the_full_context(self):
        keeps_state, kl = self.divergence("cached")
        self.assertTrue(keeps_state)
        self.assertEqual(kl.shape, (2, 96))
        self.assertLess(float(kl.max()), 1e-5)

    def test_a_position_bug_in_the_cache_is_seen(self):
        buggy = altered("cached", "self.position[seen : seen + length]", "self.position[max(0, seen - 1) : max(0, seen - 1) + length]")
        _, kl = self.divergence(buggy)
        self.assertGreater(float(kl.max()), 1e-3)
        self.assertLess(float(kl[:, 0].max()), 1e-9)  # the first token is where it should be

    def test_a_hook_without_state_is_asked_about_growing_prefixes(self):
        project = kit.transformer()
        project["model.py"] += "\ndef infer(model, batch, ctx):\n    return model(batch.tokens)\n"
        keeps_state, kl = self.divergence(project)
        self.assertFalse(keeps_state)
        self.assertLess(float(kl.max()), 1e-5)

    def test_without_a_hook_nothing_is_measured(self):
        self.assertIsNone(self.bed.peer("honest").incremental(self.bed.rows(2)[:, :8].contiguous(), 256))

    def test_a_hook_with_state_that_returns_only_logits_breaks_the_contract(self):
        project = altered("cached", "    return model.extend(batch.tokens, state)\n", "    return model.extend(batch.tokens, state)[0]\n")
        with self.assertRaises(Fault) as caught:
            self.bed.peer(project).incremental(self.bed.rows(2)[:, :8].contiguous(), 256)
        self.assertEqual(caught.exception.code, "M-CONTRACT")


class Precision(Guests):
    def test_bfloat16_differs_a_little_and_follows_the_weights(self):
        peer, rows = self.bed.peer("reference"), self.bed.rows(4)
        for _ in range(2):
            peer.step(self.bed.rows())
            full = peer.predict(rows[:, :-1], 256)
            difference = (peer.predict(rows[:, :-1], 256, precision="bf16") - full).abs()
            self.assertTrue(0.0 < float(difference.max()) < 0.1, difference.max())

    def test_a_model_that_cannot_run_so_is_not_measured(self):
        project = kit.transformer(strict=("        length = tokens.shape[1]\n", "        length = tokens.shape[1]\n        assert self.position.dtype == torch.float32\n"))
        peer = self.bed.peer(project)
        self.assertIsNone(peer.predict(self.bed.rows(2)[:, :-1].contiguous(), 256, precision="bf16"))
        self.assertIsNotNone(peer.predict(self.bed.rows(2)[:, :-1].contiguous(), 256))

    def test_whoever_says_unsupported_in_float32_breaks_the_contract(self):
        project = kit.transformer()
        project["model.py"] += (
            "\nimport prism_harness.wire as wire\nhonest_send = wire.send\ndef send(sock, message, *rest):\n"
            "    honest_send(sock, {'unsupported': True} if 'shape' in message else message, *rest)\nwire.send = send\n")
        with self.assertRaises(Fault) as caught:
            self.bed.peer(project).predict(self.bed.rows(2)[:, :-1].contiguous(), 256)
        self.assertEqual(caught.exception.code, "M-CONTRACT")


class Targets(Guests):
    def test_targets_may_be_given_and_some_not_asked_for(self):
        rows = self.bed.rows()
        plain, given = self.bed.peer("reference"), None
        loss = plain.step(rows)["loss"]
        plain.end()
        given = self.bed.peer("reference")
        self.assertEqual(given.step(rows, rows[:, 1:])["loss"], loss)
        targets = rows[:, 1:].clone()
        targets[:, ::2] = -100
        nll = scoring.token_nll(given.predict(rows[:, :-1], 256), rows[:, 1:])
        self.assertAlmostEqual(given.step(rows, targets)["loss"], float(nll[:, 1::2].mean()), places=4)


class Weights(Guests):
    def test_blocks_are_grouped_and_a_frozen_one_is_dead(self):
        project = kit.transformer(freeze=("        nn.init.normal_(self.embed.weight, std=0.3)", "        nn.init.normal_(self.embed.weight, std=0.3)\n"
                                          "        self.register_buffer('table', torch.ones(500, 500))\n        self.blocks[1].requires_grad_(False)"))
        peer = self.bed.peer(project, depth=3)
        first = peer.state()
        for _ in range(3):
            peer.step(self.bed.rows())
        last = peer.state()
        whole = snapshot.compared(first, last, 2)
        self.assertTrue(0.2 < whole["dead_param_frac"] < 0.4, whole)  # one block of three; the table is no weight
        self.assertTrue(1e-3 < whole["update_ratio"] < 1.0)
        rows = layers.from_snapshots(first, last)
        self.assertEqual([(row["layer"], row["kind"], row["trust"]) for row in rows], [(at, "weights", "T") for at in range(4)])
        self.assertEqual((rows[1]["dead_param_frac"], rows[1]["update_ratio"]), (1.0, 0.0))
        for at in (0, 2):
            self.assertLess(rows[at]["dead_param_frac"], 0.1)
            self.assertTrue(1e-3 < rows[at]["update_ratio"] < 1.0)
            self.assertTrue(0.01 < rows[at]["weight_rms"] < 1.0)

    def test_numbers_in_names_find_the_blocks(self):
        experts = [(f"model.layers.{block}.mlp.experts.{expert}.w", 10) for block in range(3) for expert in range(8)]
        self.assertEqual(set(layers.blocks([*experts, ("embed", 99)]).values()), {0, 1, 2})
        chain = [("0.weight", 500), *((f"1.{block}.weight", 10) for block in range(12)), ("2.weight", 700)]
        found = layers.blocks(chain)
        self.assertEqual((found["1.11.weight"], "0.weight" in found), (11, False))
        self.assertEqual(layers.blocks([("weight", 4)]), {})


class NoiseScale(Guests):
    def plan(self, batch=8):
        return RunPlan(run_id="r", role="candidate", probe="base", rung=Rung("s1", 64, 2, 10), seed_idx=0, seed=5, own_recipe=False, steps=10, batch=batch, length=128, vocab_size=256, spec={})

    def test_the_formula_recovers_what_made_the_norms(self):
        class Peer:
            def inspect(self, rows):
                return {"grad_norm": math.sqrt(0.25 + 60.0 / rows.shape[0])}

        found = layers.noise_scale(Peer(), kit.corpus(bytes(range(256)) * 400), self.plan())
        self.assertAlmostEqual(found["g2"], 0.25)
        self.assertAlmostEqual(found["tr_sigma"], 60.0)
        self.assertAlmostEqual(found["b_simple_seqs"], 240.0)
        self.assertEqual((found["b_small"], found["b_big"], found["pairs"]), (8, 32, 3))

    def test_it_is_measured_on_a_real_model(self):
        folder = kit.EVALUATION / "corpus" / "smoke"
        corpus = kit.corpus((folder / "train.txt").read_bytes())
        peer = self.bed.peer("reference")
        for step in range(10):
            peer.step(corpus.train_rows(5, step * 8, 8, 128))
        before = peer.state().raw
        found = layers.noise_scale(peer, corpus, self.plan())
        self.assertEqual(peer.state().raw, before)
        self.assertTrue(0.1 < found["b_simple_seqs"] < 1000.0, found)


class InAnEvaluation(unittest.TestCase):
    def test_kv_and_precision_are_checks_where_the_plan_has_them(self):
        extra = {"incremental": {"rows": 2, "positions": 48}, "precision": {"rows": 2}}
        checks = kit.evaluate("cached", kind="architecture_only", training=False, changes=kit.small(**extra)).telemetry["checks"]
        self.assertEqual((checks["kv"]["n"], checks["kv"]["positions"], checks["kv"]["incremental"]), (96, 48, True))
        self.assertLess(checks["kv"]["max"], 1e-5)
        self.assertEqual(checks["kv"]["viol_frac"], 0.0)
        self.assertTrue(0.0 < checks["precision"]["kl_mean"] < checks["precision"]["max"] < 1e-2, checks["precision"])
        self.assertGreater(checks["precision"]["logit_absmax"], 0.1)

    def test_a_project_without_a_hook_has_no_kv_and_a_plan_without_members_measures_nothing(self):
        extra = {"incremental": {"rows": 2, "positions": 16}, "precision": None}
        checks = kit.evaluate("honest", kind="architecture_only", training=False, changes=kit.small(**extra)).telemetry["checks"]
        self.assertNotIn("kv", checks)
        self.assertNotIn("precision", checks)


if __name__ == "__main__":
    unittest.main()
