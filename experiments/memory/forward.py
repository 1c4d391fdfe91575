"""Page faults and processor time of forward passes of the embedded classifier; prints JSON.

`python -m experiments.memory.forward KEPT THREAD`: 1 or 0 each, whether memory is kept, and whether a thread of its own
asks, as in a run.
"""

from __future__ import annotations

import json
import resource
import sys
import threading
import time

import torch

from bbsmooth.memory import keep_memory
from oracles.zoo import local_vit

BATCH, PASSES = 256, 10


def measured() -> dict[str, float]:
    """Page faults of a pass, and the least processor time of an image in microseconds."""
    oracle = local_vit(device="cpu")
    images = torch.rand(BATCH, *oracle.spec.image_shape or (), generator=torch.Generator().manual_seed(0))
    for _ in range(3):
        oracle.query(images)
    before, taken = resource.getrusage(resource.RUSAGE_SELF), []
    for _ in range(PASSES):
        start = time.thread_time()
        oracle.query(images)
        taken.append(time.thread_time() - start)
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "page_faults": (after.ru_minflt - before.ru_minflt) / PASSES,
        "microseconds_an_image": round(min(taken) / BATCH * 1e6, 1),
        "kernel_share": round(
            (after.ru_stime - before.ru_stime)
            / max(1e-9, after.ru_stime - before.ru_stime + after.ru_utime - before.ru_utime),
            3,
        ),
    }


def main(kept: bool, in_thread: bool) -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    if kept and not keep_memory():
        raise SystemExit("this machine's C library is not glibc: nothing to measure")
    if not in_thread:
        print(json.dumps(measured()))
        return
    thread = threading.Thread(target=lambda: print(json.dumps(measured())))
    thread.start()
    thread.join()


if __name__ == "__main__":
    main(sys.argv[1] == "1", sys.argv[2] == "1")
