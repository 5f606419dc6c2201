# Tries everything a worker must not be able to do and prints how each attempt ended.
import ctypes
import fcntl
import os
import signal
import socket
import subprocess

import torch
from torch import nn

from prism_challenge.evaluator.interface import PrismContext, TrainingRecipe

LIBC = ctypes.CDLL(None, use_errno=True)


def refused_by_libc(result):
    if result >= 0:
        return
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def parent():
    return os.getppid()


def read(path):
    with open(path, "rb") as file:
        file.read(16)


def memory_is_resizable():
    os.ftruncate(4, 4096)


def any_other_process():
    """Succeeds when the memory of at least one other process can be read."""
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                return read(f"/proc/{name}/mem")
            except OSError:
                pass
    raise PermissionError("none")


def lock_a_file():
    with open(__file__, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)


HERE = os.path.dirname(os.path.abspath(__file__))
JOB = os.path.dirname(HERE)
ATTEMPTS = {
    "job": lambda: read(f"{JOB}/job.json"),
    "train": lambda: read(f"{JOB}/data/train.bin"),
    "val": lambda: read(f"{JOB}/data/val.bin"),
    "list-data": lambda: os.listdir(f"{JOB}/data"),
    "parent-memory": lambda: read(f"/proc/{parent()}/mem"),
    "parent-descriptors": lambda: os.listdir(f"/proc/{parent()}/fd"),
    "parent-environment": lambda: read(f"/proc/{parent()}/environ"),
    "other-memory": any_other_process,
    "ptrace": lambda: refused_by_libc(LIBC.ptrace(16, parent(), 0, 0)),
    "kill-parent": lambda: os.kill(parent(), signal.SIGTERM),
    "kill-all": lambda: os.kill(-1, signal.SIGTERM),
    "fork": os.fork,
    "subprocess": lambda: subprocess.run(["true"], check=True),
    "exec": lambda: os.execv("/usr/bin/true", ["true"]),
    "setuid": lambda: os.setuid(0),
    "network": lambda: socket.create_connection(("127.0.0.1", 1), timeout=1),
    "unix-socket": lambda: socket.socket(socket.AF_UNIX),
    "write-tmp": lambda: open("/tmp/prism-snoop", "w").close(),
    "write-shm": lambda: open("/dev/shm/prism-snoop", "w").close(),
    "mkdir": lambda: os.mkdir("/tmp/prism-snoop-dir"),
    "symlink": lambda: os.symlink("message", "/tmp/prism-snoop-link"),
    "list-tmp": lambda: os.listdir("/tmp"),
    "write-project": lambda: open(f"{HERE}/note", "w").close(),
    "sysv-memory": lambda: refused_by_libc(LIBC.shmget(4711, 4096, 0o1666)),
    "sysv-queue": lambda: refused_by_libc(LIBC.msgget(4711, 0o1666)),
    "keyring": lambda: refused_by_libc(LIBC.syscall(248, b"user", b"note", b"x", 1, -3)),
    "lock": lock_a_file,
    "shrink-memory": memory_is_resizable,
    "io-uring": lambda: refused_by_libc(LIBC.syscall(425, 8, ctypes.create_string_buffer(256))),
    "parent-maps": lambda: read(f"/proc/{parent()}/maps"),
}


def attempt():
    for name, action in ATTEMPTS.items():
        try:
            action()
        except (OSError, subprocess.SubprocessError) as error:
            print(f"{name}=refused {type(error).__name__}")
        else:
            print(f"{name}=POSSIBLE")
    print("descriptors=", sorted(fd for fd in range(256) if is_open(fd)))
    print("uid=", os.getuid(), os.getgroups())
    print("environment=", sorted(os.environ))


def is_open(fd):
    try:
        os.fstat(fd)
        return True
    except OSError:
        return False


class Model(nn.Module):
    def __init__(self, ctx):
        super().__init__()
        self.embed, self.head = nn.Embedding(ctx.vocab_size, ctx.d_model), nn.Linear(ctx.d_model, ctx.vocab_size)

    def forward(self, tokens):
        return self.head(self.embed(tokens))


def build_model(ctx: PrismContext):
    attempt()
    return Model(ctx)


def get_recipe(ctx: PrismContext):
    return TrainingRecipe()
