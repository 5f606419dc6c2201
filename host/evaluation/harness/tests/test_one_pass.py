"""A forward pass that commits logits is trained on as well, where that gives the very same numbers."""

import random
import sys
import unittest

sys.path.insert(0, __file__.rsplit("/", 1)[0])
import kit
import torch

from prism_harness import one_pass


class Net(torch.nn.Module):
    """One layer of each kind, and what the test puts in between."""

    def __init__(self, between):
        super().__init__()
        self.first, self.between, self.last = torch.nn.Linear(4, 4), between, torch.nn.Linear(4, 4)

    def forward(self, values):
        return self.last(self.between(self.first(values)))


class Flagged(torch.nn.Module):
    def forward(self, values):
        return values * 2 if self.training else values


class Counting(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()), persistent=False)

    def forward(self, values):
        self.calls += 1
        return values


class Learning(torch.nn.Module):
    """Takes a step of its own in every pass of training."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(4))

    def forward(self, values):
        if self.training:
            with torch.no_grad():
                self.scale += 0.1
        return values * self.scale


class ZeroedBranch(torch.nn.Module):
    """A dropout that shows in no output, because its branch begins at zero."""

    def __init__(self):
        super().__init__()
        self.out = torch.nn.Linear(4, 4)
        torch.nn.init.zeros_(self.out.weight)
        torch.nn.init.zeros_(self.out.bias)

    def forward(self, values):
        return values + self.out(torch.nn.functional.dropout(values, 0.5, self.training))


class PythonNoise(torch.nn.Module):
    def forward(self, values):
        return values if random.random() < 2 else -values


class Serves(unittest.TestCase):
    def tried(self, between):
        model = Net(between)
        values = torch.randn(3, 4)
        kept = {name: value.clone() for name, value in [*model.named_parameters(), *model.named_buffers()]}
        python, state = random.getstate(), torch.get_rng_state()
        served = one_pass.serves(model, lambda: model(values))
        self.assertEqual(random.getstate(), python)
        self.assertTrue(torch.equal(torch.get_rng_state(), state))
        for name, value in [*model.named_parameters(), *model.named_buffers()]:
            self.assertTrue(torch.equal(value, kept[name]), name)
        self.assertTrue(all(parameter.grad is None for parameter in model.parameters()))
        return served

    def test_a_model_without_modes(self):
        for between in (torch.nn.Identity(), torch.nn.LayerNorm(4), torch.nn.Dropout(0.0)):
            self.assertTrue(self.tried(between), between)

    def test_whatever_tells_the_modes_apart_has_a_pass_of_its_own(self):
        for between in (torch.nn.Dropout(0.1), torch.nn.BatchNorm1d(4), Flagged(), Counting(), Learning(), ZeroedBranch(), PythonNoise()):
            self.assertFalse(self.tried(between), between)

    def test_an_evaluation_without_gradients_cannot_be_trained_on(self):
        model = Net(torch.nn.Identity())
        self.assertFalse(one_pass.serves(model, lambda: model(torch.ones(2, 4)) if model.training else model(torch.ones(2, 4)).detach()))


class Steps(unittest.TestCase):
    """Asked of real guests."""

    def opened(self, project):
        bed = kit.Bed()
        self.addCleanup(bed.close)
        return bed, bed.peer(project)

    def losses(self, project, then_step):
        bed, peer = self.opened(project)
        seen = []
        for step in range(4):
            rows = bed.rows(seed=step)
            peer.predict(rows[:, :-1], 256, then_step=then_step)
            seen.append(peer.step(rows)["loss"])
        return seen, peer.state().raw

    def test_the_same_bytes_with_one_pass_and_with_two(self):
        self.assertEqual(self.losses("reference", True), self.losses("reference", False))

    def test_dropout_still_drops(self):
        dropping = kit.transformer(drop=("return x + self.down(", "return x + torch.nn.functional.dropout(torch.ones_like(x), 0.5, self.training) + self.down("))
        self.assertEqual(self.losses(dropping, True), self.losses(dropping, False))
        still = kit.transformer(drop=("return x + self.down(", "return x + torch.nn.functional.dropout(torch.ones_like(x), 0.5, False) + self.down("))
        self.assertNotEqual(self.losses(dropping, True), self.losses(still, True))

    def test_a_step_on_other_rows_than_committed_makes_its_own_pass(self):
        bed, peer = self.opened("reference")
        rows, others = bed.rows(seed=1), bed.rows(seed=2)
        peer.predict(rows[:, :-1], 256, then_step=True)
        loss = peer.step(others)["loss"]
        _, fresh = self.opened("reference")
        self.assertEqual(loss, fresh.step(others)["loss"])


if __name__ == "__main__":
    unittest.main()
