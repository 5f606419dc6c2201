"""A small process that forks guests on the scorer's order.

It is forked from the scorer after PyTorch is loaded and before any secret is read, so guests start
in milliseconds and hold nothing. It keeps the right to change user; the scorer gives that right up.
When the scorer goes, it ends every guest and itself.
"""

from __future__ import annotations

import array
import json
import os
import signal
import socket
import sys
import time

import torch

from . import confine, guest
from .faults import ISOLATION, Fault

_MESSAGE_BYTES_MAX = 1 << 20
_REAP_TRIES = 2000


class Launcher:
    """The scorer's end."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MESSAGE_BYTES_MAX)
        if torch.cuda.is_initialized():  # CUDA does not survive a fork: only a guest may touch the GPU
            raise Fault(ISOLATION, "the scorer has initialised CUDA")
        sys.stdout.flush()
        self._pid = os.fork()
        if self._pid == 0:
            ours.close()
            _become_launcher(theirs)
        theirs.close()
        self._sock = ours

    def spawn(self, order: dict, fds: list[int]) -> int:
        """Forks a guest; `fds` are its socket, memory, stdout and stderr. Returns its process id."""
        reply = self._ask({"op": "spawn", **order}, fds)
        if "pid" not in reply:
            raise Fault(ISOLATION, f"a guest could not be started: {reply.get('error')}")
        return reply["pid"]

    def reap(self, pid: int, grace_s: float = 0.0) -> dict:
        """Ends a guest and all its descendants. Answers how it ended and what it used:
        `own_end` tells whether it ended before it was told to."""
        return self._ask({"op": "reap", "pid": pid, "grace_s": grace_s}, [])

    def close(self) -> None:
        self._sock.close()
        try:
            os.waitpid(self._pid, 0)
        except ChildProcessError:
            pass

    def _ask(self, message: dict, fds: list[int]) -> dict:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self._sock.sendmsg([json.dumps(message).encode()], ancillary)
            answer = self._sock.recv(_MESSAGE_BYTES_MAX)
        except OSError as error:
            raise Fault(ISOLATION, f"the launcher is gone: {error.strerror}") from None
        if not answer:
            raise Fault(ISOLATION, "the launcher is gone")
        return json.loads(answer)


def _become_launcher(sock: socket.socket) -> None:
    """Runs the loop in the forked process and never returns."""
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != sock.fileno():
            try:
                os.close(int(name))
            except OSError:
                pass
    confine.adopt_orphans()
    confine.hide_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _serve(sock)
    finally:
        _kill_all()
        os._exit(0)


def _serve(sock: socket.socket) -> None:
    while True:
        message, ancillary, _, _ = sock.recvmsg(_MESSAGE_BYTES_MAX, socket.CMSG_SPACE(4 * 8))
        if not message:
            return
        fds = array.array("i")
        for _, kind, data in ancillary:
            if kind == socket.SCM_RIGHTS:
                fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
        order = json.loads(message)
        try:
            answer = _spawn(order, list(fds), sock) if order["op"] == "spawn" else _reap(order["pid"], order["grace_s"])
        except OSError as error:
            answer = {"error": str(error.strerror)}
        for fd in fds:
            os.close(fd)
        sock.send(json.dumps(answer).encode())


def _spawn(order: dict, fds: list[int], sock: socket.socket) -> dict:
    pid = os.fork()
    if pid:
        return {"pid": pid}
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        confine.arrange_descriptors(*fds)
        missing = confine.confine(order)
        open_path = confine.readable_any(order["forbidden"])
        code = guest.main(order, missing, exposed=open_path is not None)
    except BaseException as error:  # a forked child must never return into the launcher's loop
        os.write(2, f"the guest could not start: {type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)


def _reap(pid: int, grace_s: float) -> dict:
    deadline = time.monotonic() + grace_s
    while True:
        done, status, usage = os.wait4(pid, os.WNOHANG)
        if done or time.monotonic() >= deadline:
            break
        time.sleep(0.005)
    own_end = bool(done)
    if not done:
        os.kill(pid, signal.SIGKILL)
        _, status, usage = os.wait4(pid, 0)
    _kill_all()
    return {
        "own_end": own_end,
        "exit": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "rss_bytes": usage.ru_maxrss * 1024,
    }


def _kill_all() -> None:
    """Ends every descendant. One guest lives at a time, so once it was reaped all that is left are
    orphans of its."""
    for _ in range(_REAP_TRIES):
        children = _descendants(os.getpid())
        for child in children:
            try:
                os.kill(child, signal.SIGKILL)
            except OSError:
                pass
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        if not children:
            return
        time.sleep(0.001)


def _descendants(root: int) -> list[int]:
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as stat:
                    parents[int(name)] = int(stat.read().rsplit(b")", 1)[1].split()[1])
            except (OSError, ValueError, IndexError):
                pass
    found, frontier = [], {root}
    while frontier:
        frontier = {pid for pid, parent in parents.items() if parent in frontier}
        found += sorted(frontier)
    return found
