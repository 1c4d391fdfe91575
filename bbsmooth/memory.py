"""Memory that is freed stays with the process, so that the kernel need not hand it out and clear it again."""

from __future__ import annotations

import ctypes
import os

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_KEPT = 1 << 30
_CHOSEN_ELSEWHERE = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")


def keep_memory() -> bool:
    """Let malloc keep freed blocks below 1 GiB for all threads of this process, and return whether it does.

    As glibc comes, blocks above a few hundred kilobytes go back to the kernel when they are freed, and come again page
    by page: a forward pass of a small network then spends a good part of its time there (`experiments/memory`). Without
    glibc, or where the environment chooses thresholds, nothing is done.
    """
    if any(name in os.environ for name in _CHOSEN_ELSEWHERE):
        return False
    try:
        libc = ctypes.CDLL(None)
        set_option = libc.mallopt
        libc.gnu_get_libc_version  # noqa: B018 - others accept options and ignore them
    except (AttributeError, OSError, TypeError):
        return False
    return all(set_option(option, _KEPT) for option in (_MMAP_THRESHOLD, _TRIM_THRESHOLD))
