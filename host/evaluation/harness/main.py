"""Entry point: `python3 -I -B main.py /job/job.json` (or `-`: the job on standard input).

Starts as root with CAP_SETUID, CAP_SETGID and CAP_KILL, or as an ordinary user. Writes JSON lines to
standard output: progress, log, and at the end exactly one telemetry or fault frame. Exits with 0.
"""

import os
import sys

_threads = os.environ.get("OMP_NUM_THREADS", "")
if not (_threads.isascii() and _threads.isdigit() and 1 <= int(_threads) <= 1024):
    _threads = "1"
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = _threads  # before PyTorch starts its threads
os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # asking whether there is a GPU must not initialise CUDA: it does not survive forks
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from prism_harness import scorer  # noqa: E402  (the path has to be set first)

if __name__ == "__main__":
    scorer.main(sys.argv[1] if len(sys.argv) == 2 else "")
    sys.stderr.flush()
    os._exit(0)  # libraries' clean-up would run as a user who may not do it
