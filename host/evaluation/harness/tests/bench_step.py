"""What the trusted scorer adds to a training step, beside a plain loop over the same model and rows.

    python3 bench_step.py [ROUNDS]      as root, for the guest has a user of its own

CPU milliseconds a step on one thread, medians over rounds that take turns. `worker` is the guest: weights
handed over, logits committed, loss, backward, optimizer. `scorer` is everything on the trusted side. `two
passes` is what a model needs that is not the same in training and in evaluation, as with dropout.
"""

import importlib.util
import statistics
import sys
import time

sys.path.insert(0, __file__.rsplit("/", 1)[0])
import kit
import torch

from prism_harness import environment, interface, scoring

STEPS = 20
WIDTH, DEPTH = 64, 2  # the largest rung of the smoke tier


class Plain:
    """A training loop as one would write it."""

    def __init__(self, plan):
        interface.register()
        spec = importlib.util.spec_from_file_location("reference", kit.HERE.parent / "reference" / "model.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        torch.manual_seed(7)
        self.model = module.build_model(interface.PrismContext(
            vocab_size=plan["vocab_size"], sequence_length=plan["seq_len"], max_parameters=plan["max_parameters"], seed=7,
            d_model=WIDTH, n_layer=DEPTH, batch_size=plan["batch_seqs"], step_budget=STEPS))
        recipe = plan["evaluator_recipe"]
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=recipe["learning_rate"], betas=tuple(recipe["betas"]), weight_decay=recipe["weight_decay"])
        self.model.train()

    def step(self, rows):
        tokens, targets = rows[:, :-1].long(), rows[:, 1:].long()
        self.optimizer.zero_grad()
        logits = self.model(tokens)
        loss = torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return float(loss)


def per_step(clock, work, rows):
    before = clock()
    for row in rows:
        work(row)
    return (clock() - before) * 1000.0 / len(rows)


def note(taken, name, value):
    taken.setdefault(name, []).append(value)


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    environment.keep_memory()  # as the scorer does
    bed = kit.Bed()
    try:
        peer, plain = bed.peer("reference", width=WIDTH, depth=DEPTH), Plain(bed.plan)
        rows = [bed.rows(seed=seed) for seed in range(STEPS)]

        def protocol(row, then_step):
            peer.state()
            logits = peer.predict(row[:, :-1], bed.plan["vocab_size"], then_step=then_step)
            scoring.step_statistics(logits, row[:, 1:])
            peer.step(row)

        taken = {}
        for _ in range(rounds + 1):
            note(taken, "plain loop", per_step(time.process_time, plain.step, rows))
            for passes, then_step in (("one pass", True), ("two passes", False)):
                guest = peer.cpu_s()
                note(taken, f"scorer, {passes}", per_step(time.process_time, lambda row: protocol(row, then_step), rows))
                note(taken, f"worker, {passes}", (peer.cpu_s() - guest) * 1000.0 / STEPS)
        medians = {name: statistics.median(values[1:]) for name, values in taken.items()}  # the first warms up
        base = medians["plain loop"]
        for name, value in medians.items():
            print(f"{name:20} {value:7.2f} ms a step  {value / base:6.1%} of the plain loop")
        for passes in ("one pass", "two passes"):
            whole = medians[f"scorer, {passes}"] + medians[f"worker, {passes}"]
            print(f"{'overhead, ' + passes:20} {whole - base:7.2f} ms a step  {whole / base - 1:6.1%}")
    finally:
        bed.close()


if __name__ == "__main__":
    main()
