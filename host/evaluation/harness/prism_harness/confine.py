"""Takes away from a freshly forked guest what it does not need, before any miner's code runs.

In order: descriptors, session, resource limits, identity, no new privileges, files (Landlock),
system calls (seccomp). Each layer holds without the others; what a kernel lacks is reported.
"""

from __future__ import annotations

import ctypes
import fcntl
import glob
import os
import resource
import signal

from . import landlock, seccomp

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_libc = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl failed")


def hide_memory() -> None:
    """No process of the same user may read or trace this one."""
    prctl(_PR_SET_DUMPABLE, 0)


def adopt_orphans() -> None:
    prctl(_PR_SET_CHILD_SUBREAPER, 1)


def forgo_privileges() -> None:
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


def become(uid: int) -> None:
    """Gives up root for good; the group has the user's number."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    if os.getresuid() != (uid, uid, uid) or os.getresgid() != (uid, uid, uid):
        raise OSError("the identity did not change")


def arrange_descriptors(sock: int, memory: int, out: int, err: int) -> None:
    """Afterwards 0 is /dev/null, 1 and 2 are the log pipes, 3 the socket, 4 the memory; no others."""
    wanted = [os.open("/dev/null", os.O_RDONLY), out, err, sock, memory]
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in wanted]
    for at, fd in enumerate(high):
        os.dup2(fd, at, inheritable=True)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.closerange(5, min(max(soft, 1024), 1 << 16))


def limit_resources(memory_bytes: int, cpu_s: int, processes: int, device: str) -> None:
    """On a GPU the driver reserves more addresses than the guest may use of memory, and opens many files:
    there the container's own limit has to bound memory."""
    on_gpu = device == "cuda"
    for name, value in (
        ("RLIMIT_FSIZE", 0),  # nothing may be written to a file
        ("RLIMIT_CORE", 0),
        ("RLIMIT_NOFILE", 1024 if on_gpu else 256),
        ("RLIMIT_NPROC", processes),
        ("RLIMIT_MSGQUEUE", 0),
        ("RLIMIT_MEMLOCK", 0),
        ("RLIMIT_DATA", None if on_gpu else memory_bytes),
        ("RLIMIT_CPU", cpu_s),
    ):
        if value is None:
            continue
        _, hard = resource.getrlimit(getattr(resource, name))
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(getattr(resource, name), (value, value))


def confine(order: dict) -> list[str]:
    """Confines the calling process as `order` says; returns the names of the layers that this kernel has not."""
    uid, device = order["uid"], order["device"]
    missing = []
    os.setsid()
    limit_resources(order["memory_bytes"], order["cpu_s"], order["processes"], device)
    if uid is not None:
        become(uid)
    hide_memory()
    forgo_privileges()
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    nodes, files = gpu_paths() if device == "cuda" else ([], [])
    if device == "cuda":
        os.environ["CUDA_CACHE_DISABLE"] = "1"  # the driver's cache would be a file
    if not landlock.restrict(order["readable"] + files, nodes):
        missing.append("landlock")
    if not seccomp.install():
        missing.append("seccomp")
    return missing


def gpu_paths() -> tuple[list[str], list[str]]:
    """What CUDA needs of the file system beside the libraries: device nodes that are read and written,
    and the driver's and the machine's descriptions. Not tried yet on a GPU."""
    nodes = ["/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset", *glob.glob("/dev/nvidia[0-9]*"),
             *glob.glob("/dev/nvidia-caps/*")]
    files = ["/proc/driver/nvidia", "/proc/devices", "/proc/modules", "/proc/cpuinfo", "/proc/meminfo", "/proc/self",
             "/sys/devices", "/sys/bus/pci", "/sys/module/nvidia"]
    return [path for path in nodes if os.path.exists(path)], [path for path in files if os.path.exists(path)]


def readable_any(paths: list[str]) -> str | None:
    """The first of `paths` that this process can open, which none of a guest's may."""
    for path in paths:
        try:
            os.close(os.open(path, os.O_RDONLY))
            return path
        except OSError:
            pass
    return None
