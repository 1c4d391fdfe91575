"""Commands that `test_commands_under_fire` kills: `python -m tests.killed_commands`.

Reads a JSON list a line: seconds (null: never), then the arguments of `bbsmooth`. For each it forks a process that runs
the command, kills it after so many seconds, and prints its exit status. Imports are paid for once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time

import torch

from bbsmooth.api.sessions import attack, certify, predict, tune
from bbsmooth.attacks.queries import import_foolbox
from bbsmooth.cli.main import app

WARM = (attack, certify, predict, tune)
"""Imported before anything is forked."""


def main() -> None:
    """Fork one command a line."""
    torch.set_num_threads(1)
    import_foolbox()
    for line in sys.stdin:
        seconds, *arguments = json.loads(line)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, 1)  # what the parent prints is read by the test
                app(arguments)
            except SystemExit as end:
                status = int(end.code or 0)
            os._exit(status)
        if seconds is not None:
            time.sleep(seconds)
            os.kill(child, signal.SIGKILL)  # also where it has ended: until it is waited for, its id is not reused
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
