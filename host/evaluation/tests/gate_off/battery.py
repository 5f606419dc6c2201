"""What a hostile submission does with the review switched off: the cases of tests/hostile/python.json, each
imported and every function of it called, and after them what all of them are after. See gate_off.rs."""

import importlib
import inspect
import os
import socket

import targets
import torch


class Anything:
    """Has every attribute and can be called: an argument for functions that want one."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything()

    def __call__(self, *args, **kwargs):
        return Anything()


def call(function):
    """Calls it with as many arguments as it needs."""
    wanted = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    result = function(*[torch.ones(2) if index else Anything() for index in range(len(wanted))])
    if inspect.isgenerator(result):
        for _ in zip(range(10), result):
            pass


def run(name):
    """Imports the case and calls what it defines."""
    try:
        members = list(vars(importlib.import_module(name)).values())
    except Exception:
        return
    for member in members:
        if callable(member) and getattr(member, "__module__", None) == name:
            try:
                call(member)
            except Exception:
                pass


def attack():
    """What every case is after: files, the network, other processes, traces that stay."""
    reached = []

    def attempt(what, action):
        try:
            action()
            reached.append(what)
        except BaseException:
            pass

    def dial(address):
        with socket.create_connection(address, timeout=0.5) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")

    def leave():
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.execv("/bin/sleep", ["sleep", targets.MARKER])
            os._exit(0)

    for root in ("", "/proc/1/root", "/proc/self/root", "/proc/self/cwd/../../..", "/job/.."):
        attempt(f"read {root}", lambda: print(open(root + targets.SECRET).read()))
        attempt(f"write {root}", lambda: open(f"{root}{targets.DROP}/file", "w").write("x"))
    for address in targets.ADDRESSES:
        attempt(f"dial {address}", lambda: dial(address))
    for folder in ("/tmp", "/dev/shm", "/var/tmp", "/etc", "/usr/lib/python3", "/job", "/job/project", "/"):
        try:
            open(f"{folder}/{targets.MARKER}", "w").write("x")
        except OSError:
            pass
    try:
        leave()
    except OSError:
        pass
    return reached


def all_together():
    """All of the cases in this very process, and then no model."""
    reached = all_silent()
    raise RuntimeError(f"all {len(targets.CASES)} cases ran, reached {reached}")


def all_silent():
    """All of the cases in this very process, and on to the model."""
    for name in targets.CASES:
        run(name)
    return attack()
