"""A certification that `test_budget_under_fire` kills: `python -m tests.killed_child`.

Reads lines `FOLDER SEED BUDGET SECONDS`. For each it forks a process that certifies in that folder and goes on with
what is there, kills it after so many seconds (`inf`: never), and prints its exit status. Imports are paid for once.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from oracles import Answers, Budget, BudgetExhausted, Ledger, Oracle, OracleSpec, ResponseStore
from tests.builders import digests, halfspace, pictures, verdicts, vote_source

IMAGES, BATCH_SIZE, CONCURRENCY = 12, 8, 3
DONE, OUT_OF_BUDGET, BROKEN = 0, 3, 1


@dataclass(frozen=True)
class PublicOracle:
    """Writes down every image that it answers, as whoever sends the bill would."""

    oracle: Oracle
    file: int

    @property
    def spec(self) -> OracleSpec:
        """As inside."""
        return self.oracle.spec

    def query(self, images: Tensor) -> Answers:
        """Answer after a moment."""
        time.sleep(0.001)
        answers = self.oracle.query(images)
        os.write(self.file, b"".join(digests(images)))
        time.sleep(0.001)
        return answers


def certify(folder: Path, seed: int, budget: int) -> int:
    """Certify all pictures of a seed; the verdicts are in the file `verdicts` at the end."""
    ledger = Ledger(Budget(queries=budget), folder / "ledger.json")
    answered = os.open(folder / "answered", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    source = vote_source(
        PublicOracle(halfspace(), answered), ResponseStore(folder / "responses"), ledger=ledger, seed=seed
    )
    found, status = [], DONE
    try:
        for each in verdicts(
            pictures(IMAGES, seed=seed),
            source,
            batch_size=BATCH_SIZE,
            concurrency=CONCURRENCY,
            remaining=lambda: ledger.remaining,
        ):
            found.append(repr(each))  # what came before the budget ended counts
    except BudgetExhausted:
        status = OUT_OF_BUDGET
    (folder / "verdicts").write_text("\n".join(found))
    return status


def main(certify: Callable[[Path, int, int], int] = certify) -> None:
    """Fork one certification a line."""
    torch.set_num_threads(1)
    for line in sys.stdin:
        folder, seed, budget, seconds = line.split()
        child = os.fork()
        if child == 0:
            status = BROKEN
            try:
                status = certify(Path(folder), int(seed), int(budget))
            except BaseException as error:
                (Path(folder) / "error").write_text(repr(error))
            os._exit(status)
        if float(seconds) < math.inf:
            time.sleep(float(seconds))
            os.kill(child, signal.SIGKILL)  # also where it has ended: until it is waited for, its id is not reused
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
