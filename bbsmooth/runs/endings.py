"""Endings of runs, and the exit status that tells."""

from __future__ import annotations

from bbsmooth.runs.directory import Status
from oracles import AnswerError, BudgetExhausted, ImageRefused, OracleUnavailable

ENDINGS: dict[type[BaseException], Status] = {
    BudgetExhausted: Status.BUDGET,
    OracleUnavailable: Status.ORACLE,
    AnswerError: Status.ORACLE,
    ImageRefused: Status.ORACLE,
    KeyboardInterrupt: Status.INTERRUPTED,
}
"""What a manifest says after each of these."""

EXIT_STATUS: dict[Status, int] = {
    Status.DONE: 0,
    Status.FAILED: 1,
    Status.BUDGET: 3,
    Status.ORACLE: 4,
    Status.INTERRUPTED: 130,
}
"""Of the process; 2 is for wrong usage or input, which begins no run."""
