"""Checks of a certification that another process began, before it goes on: a damaged file costs no query.

What an ended run hashed is compared when it is opened. A killed one left no hashes, and the record of answers has
none; so each line is made again from the answers on record, and these are held against what was paid.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bbsmooth.runs.certificates import read_certificates
from bbsmooth.runs.decoding import Damaged
from bbsmooth.runs.layout import CERTIFICATES, LEDGER, RESPONSES
from bbsmooth.verification.certificates import located
from bbsmooth.verification.replay import Replay
from bbsmooth.verification.stored import StoredAnswers
from bbsmooth.verification.ties import VOTES
from oracles import Ledger


def refuse_damage(folder: Path, replay: Replay, ledger: Ledger, *, own: bool) -> None:
    """Refuse to go on with a run whose lines or ledger are not what its answers on record give.

    Args:
        folder: the run directory.
        replay: of its lines.
        ledger: what was spent.
        own: whether this run paid for all of the answers.

    Raises:
        Damaged: the first thing that does not fit.
        RecordDamaged: an answer on record is not as it was written.
    """
    if own:
        refuse_unpaid(folder, ledger)
    for problem in _wrong_lines(folder, replay):
        raise Damaged(f"{folder / problem}; restore it from a copy, or remove the line: its answers are on record")


def refuse_unpaid(folder: Path, ledger: Ledger) -> None:
    """Refuse a ledger that does not cover the votes on record: every one was charged before it was asked for.

    Raises:
        Damaged: it covers fewer.
        RecordDamaged: a row of answers is not as it was written.
    """
    answers = StoredAnswers(folder / RESPONSES)
    try:
        answered = sum(tally.answered for tally in answers.vote_rows().values())
    finally:
        answers.close()
    spent = sum(ledger.spent[purpose] for purpose in VOTES)
    if spent < answered:
        raise Damaged(
            f"{folder / LEDGER} says that {spent:,} queries were spent on votes, and {answered:,} answers are on "
            "record; restore it from a copy, or name another `run`"
        )


def _wrong_lines(folder: Path, replay: Replay) -> Iterator[str]:
    records = read_certificates(folder) if (folder / CERTIFICATES).exists() else []
    for record in records:
        yield from located(record, replay.wrong)
