"""What the measurements were made with."""

from __future__ import annotations

import ctypes
import os
import re
import site
import sys
import tempfile

import torch


def settle_threads() -> None:
    """As many threads in an operation as the host says; main.py saw to it that this is a number."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    try:
        torch.set_num_interop_threads(1)
    except RuntimeError:
        pass  # already in use; it is 1 by the environment variables


def keep_memory() -> None:
    """Lets the allocator keep freed arrays: mapping them afresh in each step costs a fifth of the time.
    Does nothing where the C library is not glibc. Guests inherit it."""
    trim_threshold, mmap_threshold = -1, -3
    try:
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_threshold, 32 << 20)
        libc.mallopt(trim_threshold, 512 << 20)
    except (OSError, AttributeError):
        pass


def warm_up() -> None:
    """Makes PyTorch load what it loads late (2.x draws in its compiler with the first optimizer), so
    that guests, which may not look for files, find it loaded. No backward pass: its threads would not
    survive the fork."""
    tempfile.tempdir = "/tmp"  # guests cannot try which folder is writable: none is
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    optimizer.zero_grad()
    torch.optim.SGD(model.parameters(), lr=0.1)
    with torch.no_grad():
        torch.nn.functional.cross_entropy(model(torch.zeros(1, 2)), torch.zeros(1, dtype=torch.long))


def blas_name() -> str:
    """Which matrix library PyTorch uses: openblas, mkl, blis, atlas, reference or unknown."""
    if re.search(r"BLAS_INFO=mkl", torch.__config__.show()) and torch.backends.mkl.is_available():
        return "mkl"  # linked into PyTorch itself: no file tells
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
            files = {line.split()[-1] for line in maps if "/" in line and "numpy.libs" not in line}  # NumPy's own
    except OSError:
        files = set()
    names = " ".join(os.path.realpath(file) for file in files).lower()
    for pattern, name in (("openblas", "openblas"), ("libmkl|mkl_", "mkl"), ("libblis", "blis"), ("atlas", "atlas")):
        if re.search(pattern, names):
            return name
    return "reference" if re.search(r"libblas\.so", names) else "unknown"


def library_paths() -> list[str]:
    """Folders that a guest has to read: the interpreter, its packages and the system's libraries."""
    paths = ["/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/localtime", "/dev/null", "/dev/zero", "/dev/urandom"]
    paths += [sys.prefix, sys.base_prefix, sys.exec_prefix, os.path.dirname(os.path.realpath(sys.executable))]
    paths += [os.path.dirname(os.path.dirname(torch.__file__)), *site.getsitepackages()]
    paths.append(os.path.dirname(os.path.abspath(__file__)))
    return [path for path in dict.fromkeys(paths) if path not in ("", "/") and os.path.exists(path)]


def describe(job, missing_layers: list[str]) -> dict:
    return {
        "image_digest": job.image_digest,
        "torch": torch.__version__,
        "python": ".".join(map(str, sys.version_info[:3])),
        "device_kind": job.plan.get("device", "cpu"),
        "device_count": 1,
        "precision": "bf16" if job.plan.get("device") == "cuda" and job.plan.get("training_precision") == "bf16" else "fp32",
        "blas": blas_name(),
        "threads": torch.get_num_threads(),
        "deterministic": True,
        "isolation": "two_user" if job.two_user else "single_user",
        "layers_missing": sorted(missing_layers),
    }
