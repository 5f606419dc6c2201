"""Runs the harness end to end, as the host does: a job directory in, JSON lines out."""

import contextlib
import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
EVALUATION = HERE.parent.parent
PROJECTS = HERE / "projects"
SCORER, WORKER, AUDITOR, PLAIN = 64101, 64102, 64103, 64104
SEEDS = [123456789, 987654321]
SECRET = "5a" * 32
sys.path.insert(0, str(HERE.parent))


def corpus(tokens, permutation=bytes(range(256)), table=None):
    """A corpus whose training and held-out text are both `tokens`."""
    from prism_harness.corpus import Corpus, TokenFile, Vocabulary

    vocabulary = Vocabulary(len(permutation), table)
    files = []
    for _ in range(2):
        fd = os.memfd_create("corpus")
        os.write(fd, tokens)
        files.append(TokenFile(fd, vocabulary.width))
    return Corpus(*files, vocabulary, permutation, {})


class Answer:
    """The frames of one evaluation."""

    def __init__(self, completed):
        self.stderr = completed.stderr.decode("utf-8", "replace")
        self.returncode = completed.returncode
        self.frames = [json.loads(line, parse_constant=lambda name: 1 / 0) for line in completed.stdout.splitlines()]

    def of(self, kind):
        return [frame for frame in self.frames if frame["frame"] == kind]

    @property
    def telemetry(self):
        found = self.of("telemetry")
        assert len(found) == 1 and not self.of("fault"), (self.of("fault"), self.stderr)
        return found[0]["telemetry"]

    @property
    def fault(self):
        found = self.of("fault")
        assert len(found) == 1 and not self.of("telemetry"), self.stderr
        return found[0]

    @property
    def log(self):
        return "".join(frame["text"] for frame in self.of("log"))


def evaluate(project, *, plan="smoke-fast", kind="full", two_user=True, training=True, changes=None, limits=None, by_stdin=False, architecture=None, extra=None, patches=None, environment=None):
    """`project` is a folder under projects/ or a dict of file names to text; `training` may name a file."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="prism-job-"))
    try:
        command, stdin = _prepare(folder, project, plan, kind, two_user, training, changes or {}, limits or {}, by_stdin, architecture, extra or {})
        for name, text in (patches or {}).items():
            (folder / "harness" / name).write_text(text)
        user = {} if two_user else {"user": PLAIN, "group": PLAIN, "extra_groups": []}
        completed = subprocess.run(command, input=stdin, capture_output=True, timeout=300, cwd="/", env={"PATH": "/usr/bin:/bin", **(environment or {})}, **user)
        return Answer(completed)
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def started(project):
    """A running evaluation and its folder."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="prism-job-"))
    try:
        command, _ = _prepare(folder, project, "smoke-fast", "full", True, True, {}, {}, False, None, {})
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            yield process, folder
    finally:
        shutil.rmtree(folder)


def _prepare(folder, project, plan_name, kind, two_user, training, changes, limits, by_stdin, architecture, extra):
    os.chmod(folder, 0o755)
    shutil.copytree(HERE.parent, folder / "harness", ignore=shutil.ignore_patterns("tests", "__pycache__"))
    _write_project(folder / "project", project)
    if architecture is not None:
        _write_project(folder / "architecture", architecture)
    (folder / "data").mkdir()
    for source, target in (("train.txt", "train.bin"), ("val.txt", "val.bin")):
        shutil.copy(EVALUATION / "corpus" / "smoke" / source, folder / "data" / target)
    plan = {**json.loads((EVALUATION / "plans" / f"{plan_name}.json").read_text()), **changes}
    own = {"dir": str(folder / "project"), "entrypoint": "model.py"}
    trainer = {**own, "entrypoint": training} if isinstance(training, str) else own if training else None
    job = {
        "schema": "prism.job/1", "submission_id": "s-1", "eval_id": "e-1", "kind": kind, "tier": "smoke",
        "architecture": {"dir": str(folder / "architecture"), "entrypoint": "model.py"} if architecture is not None else own,
        "training": trainer,
        "plan": plan, "seeds": SEEDS, "secret": SECRET,
        "isolation": {"mode": "two_user" if two_user else "single_user", "scorer_uid": SCORER, "worker_uid": WORKER, "auditor_uid": AUDITOR},
        "limits": {"wall_ms": 120_000, "memory_bytes": 2 << 30, "log_bytes": 65_536, **limits},
        "data": {"corpus_id": "smoke-en/1", "train": str(folder / "data" / "train.bin"), "val": str(folder / "data" / "val.bin")},
        "image_digest": None,
        **extra,
    }
    (folder / "job.json").write_text(json.dumps(job))
    owner = SCORER if two_user else PLAIN
    for path, mode in ((folder / "job.json", 0o400), (folder / "data", 0o500), (folder / "data" / "train.bin", 0o400), (folder / "data" / "val.bin", 0o400)):
        os.chown(path, owner, owner)
        os.chmod(path, mode)
    main = str(folder / "harness" / "main.py")
    if by_stdin:
        return [sys.executable, "-I", "-B", main, "-"], json.dumps(job).encode()
    return [sys.executable, "-I", "-B", main, str(folder / "job.json")], b""


def _write_project(target, project):
    if isinstance(project, str):
        shutil.copytree(PROJECTS / project, target)
        return
    target.mkdir()
    for name, text in project.items():
        (target / name).write_text(text)


def transformer(**replaced):
    """The honest project's source with parts replaced."""
    source = (PROJECTS / "honest" / "model.py").read_text()
    for old, new in replaced.values():
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    return {"model.py": source}


class Bed:
    """Guests without an evaluation around them: a bench of its own, peers asked directly."""

    def __init__(self, **changes):
        import torch

        from prism_harness import environment, peer, shared
        from prism_harness.drain import LogDrain
        from prism_harness.launcher import Launcher

        torch.set_num_threads(1)
        environment.warm_up()
        self.plan = {**json.loads((EVALUATION / "plans" / "smoke.json").read_text()), **changes}
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="prism-bed-"))
        os.chmod(self._folder, 0o755)
        self._peers = []
        self.drain = LogDrain(65_536)
        self.bench = peer.Bench(
            launcher=Launcher(), drain=self.drain, layout=shared.Layout.for_plan(self.plan), plan=self.plan,
            memory_bytes=4 << 30, deadline=time.monotonic() + 300, uids={"worker": WORKER, "auditor": AUDITOR},
            readable=environment.library_paths(), forbidden=[], processes=64,
        )

    def peer(self, project, *, own_recipe=False, width=64, depth=2, steps=20, role="worker", **context):
        """An open guest. `project` is `reference`, a folder under projects/ or a dict of file names to text."""
        from prism_harness.peer import Peer

        folder = HERE.parent / "reference" if project == "reference" else self._folder / f"p{len(self._peers)}"
        if project != "reference":
            _write_project(folder, project)
        part = {"dir": str(folder), "entrypoint": "model.py"}
        plan = self.plan
        context = {"vocab_size": plan["vocab_size"], "sequence_length": plan["seq_len"], "max_parameters": plan["max_parameters"],
                   "seed": 7, "d_model": width, "n_layer": depth, "batch_size": plan["batch_seqs"], "step_budget": steps, **context}
        peer = Peer(self.bench, role, "candidate", [str(folder)])
        self._peers.append(peer)
        self.spec = {"architecture": part, "training": part, "own_recipe": own_recipe, "evaluator_recipe": plan["evaluator_recipe"], "context": context}
        peer.open(self.spec)
        return peer

    def rows(self, count=8, length=None, seed=1):
        """Random rows with something to learn: each token is often the one before it plus one."""
        import torch

        generator = torch.Generator().manual_seed(seed)
        length = length or self.plan["seq_len"]
        steps = (torch.rand(count, length + 1, generator=generator) < 0.2).int() * torch.randint(0, 256, (count, length + 1), generator=generator)
        return ((steps + 1).cumsum(1) % 256).int()

    def close(self):
        for peer in self._peers:
            peer.end()
        self.bench.launcher.close()
        shutil.rmtree(self._folder)


def small(**changes):
    """Plan changes for a test that needs one rung and one seed only, and no probe but those it names."""
    rung = {"size_id": "s0", "d_model": 32, "n_layer": 2, "steps": 6}
    return {"sizes": [rung], "seeds": 1, "probes": [], "recall": None, "permutation": None, **changes}


def probe(name, **changes):
    """One of the plan's probes, on the rung of `small`."""
    plan = json.loads((EVALUATION / "plans" / "smoke-fast.json").read_text())
    found = [entry for entry in plan["probes"] if entry["probe"] == name]
    return {**found[0], "size_id": "s0", **changes}


@functools.lru_cache(maxsize=None)
def honest():
    """The whole suite on the honest project, once for all tests that look at it."""
    return evaluate("honest")


def as_reference(telemetry):
    """What the host keeps of an evaluation for later ones."""
    kept = {name: telemetry[name] for name in ("env", "data", "plan")}
    return {**kept, **{name: [row for row in telemetry[name] if row["role"] == "reference"] for name in ("runs", "sizes")}}
