"""Time of work on a device."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch


def settle(device: torch.device) -> None:
    """Wait until a device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def seconds(call: Callable[[], object], device: torch.device, *, times: int, warm_up: int = 2) -> float:
    """Return the median wall time of a call, once its work is done."""
    taken = []
    for number in range(warm_up + times):
        settle(device)
        began = time.perf_counter()
        call()
        settle(device)
        if number >= warm_up:
            taken.append(time.perf_counter() - began)
    return statistics.median(taken)
