"""The commands of a study, each in a process of its own that is forked from a warm one."""

from __future__ import annotations

import multiprocessing
import os
import resource
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import torch

from bbsmooth.runs.files import write_json
from experiments.peftsmoothing.judging import JUDGED, judge
from experiments.peftsmoothing.study import Job, Study

MEASURED = "measured.json"
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["experiments.peftsmoothing.warm"])
_STATUSES = threading.Lock()


def carry_out(study: Study, job: Job, *, dry: bool, threads: int) -> None:
    """Run the steps of a job that are not done yet, then judge what came out.

    Args:
        study: which.
        job: of it.
        dry: only print the commands.
        threads: of torch, in each process.

    Raises:
        SystemExit: a step failed; it has said why.
    """
    for words, out in job.steps:
        if not (out / MEASURED).exists():
            resume = ["--resume"] if (out / "manifest.json").exists() else []
            command = [*shlex.split(words), "--out", str(out), *resume]
            print("$", shlex.join(["bbsmooth", *command]), flush=True)
            if not dry:
                _in_a_process(threads, _run_command, command, out)
    if not dry and not (job.place / JUDGED).exists():
        _in_a_process(threads, judge, job, study.scale["judged"], study.scale["draws"])


def _in_a_process(threads: int, what: Callable[..., None], *arguments: Any) -> None:
    """Jobs of several threads may be under way; each ends with the status of its own process.

    `Process.start` polls every process that was started before, and the status of one can be read once only: read by
    another thread between the wait and the read of a `join`, it would be lost, and 255 be told in its place.
    """
    process = _PROCESSES.Process(target=_with_threads, args=(threads, what, *arguments))
    with _STATUSES:
        process.start()
    wait([process.sentinel])
    with _STATUSES:
        process.join()
    if process.exitcode:
        sys.exit(process.exitcode if process.exitcode > 0 else f"a step was ended by signal {-process.exitcode}")


def _with_threads(threads: int, what: Callable[..., None], *arguments: Any) -> None:
    threading.Thread(target=_end_with_the_study, daemon=True).start()
    torch.set_num_threads(threads)
    what(*arguments)


def _end_with_the_study() -> None:
    """End this process once the one that asked for it is gone, however that ended; what it began can be resumed."""
    study = multiprocessing.parent_process()
    assert study is not None
    wait([study.sentinel])
    os.kill(os.getpid(), signal.SIGKILL)


def _run_command(command: list[str], out: Path) -> None:
    """As `bbsmooth` would, without its output; leaves the time and memory that it took in `measured.json`."""
    from bbsmooth.cli.main import app

    began = time.monotonic()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    status = app([*command, "--progress", "none"], standalone_mode=False)
    if status:
        sys.exit(status)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    write_json(out / MEASURED, {"seconds": time.monotonic() - began, "peak_memory_bytes": memory})
