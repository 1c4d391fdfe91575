"""Results of jobs that are cut off, empty, doubled, about something else, or of another form, at each vendor."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from oracles import Budget, Ledger, OracleUnavailable, Purpose, ResponseStore, VoteLog
from oracles.capabilities import batching_of
from oracles.recording import REFUSED, UNANSWERED
from oracles.registry import open_oracle
from oracles.remote.batches.client import BatchClient
from oracles.remote.batches.endpoint import End, Item
from oracles.remote.batches.journal import Job, Journal, Piece
from oracles.remote.batches.record import VoteRecord
from oracles.remote.batches.results import Outcome, Reading, Results
from oracles.remote.messages import Request
from tests.oracles.remote.batches.desk import votes_of
from tests.oracles.remote.batches.vendor import Vendor

VENDORS = ("openai", "anthropic", "gemini", "mistral")
COUNT = 6
STREAM = bytes(32)
TRUTH = [draw % 2 for draw in range(COUNT)]

Spoil = Callable[[list[bytes]], list[bytes]]


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with Vendor().running() as running:
        yield running


def picture(draw: int) -> torch.Tensor:
    """A picture (1, 1, 4, 4), dark or bright, unlike all others."""
    return torch.full((1, 1, 4, 4), (255 * TRUTH[draw] + (draw if draw % 2 == 0 else -draw)) / 255)


class Work:
    """A run that asks about `COUNT` draws until each has its answer."""

    def __init__(self, folder: Path, vendor: Vendor, kind: str) -> None:
        found = batching_of(open_oracle(vendor.oracle(kind)))
        assert found is not None
        self.ability, self.endpoint = found
        self.folder, self.told = folder, list[str]()

    def client(self) -> BatchClient:
        store = ResponseStore(self.folder / "responses")
        return BatchClient(
            endpoint=self.endpoint,
            journal=Journal(store, "run"),
            ledger=Ledger(Budget(), self.folder / "ledger.json"),
            record=VoteRecord(VoteLog(store, self.ability.spec)),  # type: ignore[attr-defined]
            read=lambda body: self.ability.understood(body),
            sleep=lambda seconds: None,
            tell=self.told.append,
        )

    def compose(self, piece: Piece) -> Iterator[Request]:
        for draw in range(piece.first, piece.first + piece.count):
            yield self.ability.composed(picture(draw))

    def finish(self, most: int = 5) -> list[int]:
        """The labels, after at most so many rounds."""
        for _ in range(most):
            client = self.client()
            client.drain()
            labels: list[int] = votes_of(client).read(STREAM, 0, COUNT).tolist()
            missing = [draw for draw, label in enumerate(labels) if label == UNANSWERED]
            if missing:
                client.ask(
                    [Piece(purpose=Purpose.SELECT, stream=STREAM, first=draw, count=1) for draw in missing],
                    self.compose,
                )
            client.journal.store.close()
            if not missing:
                return labels
        raise AssertionError("it never ends")

    @property
    def charged(self) -> int:
        return Ledger(Budget(), self.folder / "ledger.json").total


def first_line(change: Callable[[bytes], bytes]) -> Spoil:
    return lambda lines: [change(lines[0]), *lines[1:]] if lines else []


def edited(change: Callable[[dict[str, Any]], object]) -> Spoil:
    """The first line with something changed in its tree; other forms than answers are left."""

    def edit(line: bytes) -> bytes:
        tree = json.loads(line)
        return json.dumps(changed if (changed := change(tree)) is not None else tree).encode()

    return first_line(edit)


def rekeyed(key: object) -> Spoil:
    return edited(lambda tree: {name: key if name in ("key", "custom_id") else value for name, value in tree.items()})


def contradicted(lines: list[bytes]) -> list[bytes]:
    """The first answer comes a second time, and says the contrary."""
    swapped = lines[0].replace(b"dark", b"*").replace(b"bright", b"dark").replace(b"*", b"bright")
    return [*lines, swapped]


WITHOUT_KEY = ("custom_id", "key", "id")


def answered_with(value: object) -> Spoil:
    return edited(
        lambda tree: {name: inner if name in WITHOUT_KEY else value for name, inner in tree.items() if name != "error"}
    )


SPOILT: dict[str, tuple[Spoil, int]] = {
    "cut off": (lambda lines: [*lines[:-1], lines[-1][: len(lines[-1]) // 2]], 1),
    "cut off in the name": (lambda lines: [*lines[:-1], lines[-1][:9]], 1),
    "shorter": (lambda lines: lines[2:], 2),
    "doubled": (lambda lines: lines + lines, 0),
    "contradicted": (contradicted, 1),
    "of another": (rekeyed("elsewhere-3"), 1),
    "a number for a name": (rekeyed(7), 1),
    "no name": (rekeyed(None), 1),
    "a list": (first_line(lambda line: b"[" + line + b"]"), 1),
    "null": (first_line(lambda line: b"null"), 1),
    "no text": (first_line(lambda line: b"\xff\xfe" + line), 1),
    "not a number": (first_line(lambda line: line[:-1] + b', "x": NaN}'), 1),
    "text for an answer": (answered_with("dark"), 1),
    "a list for an answer": (answered_with([1]), 1),
    "null for an answer": (answered_with(None), 1),
    "something before it": (lambda lines: [b"<html>", *lines], 0),
    "all of it another page": (lambda lines: [b"<html>busy</html>"], COUNT),
}
"""What results may look like, and how many questions have no answer for it."""


@pytest.mark.parametrize("kind", VENDORS)
@pytest.mark.parametrize("name", SPOILT)
def test_what_cannot_be_read_is_asked_again_and_stays_charged(
    tmp_path: Path, vendor: Vendor, kind: str, name: str
) -> None:
    spoil, lost = SPOILT[name]
    work = Work(tmp_path, vendor, kind)
    vendor.spoil = lambda job, lines: spoil(lines) if job.endswith("0") else lines
    if lost == COUNT:
        with pytest.raises(OracleUnavailable, match="answers no question of a batch job: "):
            work.finish()
    assert work.finish() == TRUTH
    assert work.charged == COUNT + lost == vendor.billed.total()
    assert any("of the lines of its results" in line for line in work.told)


@pytest.mark.parametrize("kind", VENDORS)
def test_results_that_are_whole_when_they_are_read_again_lose_nothing(
    tmp_path: Path, vendor: Vendor, kind: str
) -> None:
    work, reads = Work(tmp_path, vendor, kind), list[str]()

    def late(job: str, lines: list[bytes]) -> list[bytes]:
        reads.append(job)
        return lines[:2] if len(reads) == 1 else lines

    vendor.spoil = late
    assert work.finish() == TRUTH
    assert work.charged == COUNT == vendor.billed.total()
    assert len(vendor.jobs) == 1


@pytest.mark.parametrize("kind", VENDORS)
def test_a_draw_whose_line_can_never_be_read_is_refused_after_three_times(
    tmp_path: Path, vendor: Vendor, kind: str
) -> None:
    work = Work(tmp_path, vendor, kind)
    unreadable = set[str]()

    def always(job: str, lines: list[bytes]) -> list[bytes]:
        if job.endswith("0"):
            unreadable.add(json.loads(lines[0]).get("custom_id") or json.loads(lines[0])["key"])
        return [b"{", *lines[1:]]

    vendor.spoil = always
    labels = work.finish()
    (draw,) = [int(key.rpartition("-")[2]) for key in unreadable]
    assert labels == [REFUSED if number == draw else label for number, label in enumerate(TRUTH)]
    assert work.charged == COUNT + 2 == vendor.billed.total()


def test_files_that_stay_empty_end_the_run_before_draws_are_held_at_fault(tmp_path: Path, vendor: Vendor) -> None:
    work = Work(tmp_path, vendor, "openai")
    client = work.client()
    client.ask([Piece(purpose=Purpose.SELECT, stream=bytes([1]) * 32, first=0, count=2)], work.compose)
    client.journal.store.close()
    vendor.spoil = lambda job, lines: []
    with pytest.raises(OracleUnavailable, match="2 jobs in a row ended at OpenAI without any answer: its results say"):
        work.finish()
    assert len(vendor.jobs) == 3
    vendor.spoil = lambda job, lines: lines
    assert work.finish() == TRUTH
    assert work.charged == vendor.billed.total()


def reading(found: list[Item], *, partial: bool) -> list[Outcome]:
    job = Job(tag="t", pieces=(Piece(purpose=Purpose.SELECT, stream=STREAM, first=0, count=4),))
    whole = Reading(job, Results.of(job, found), partial, lambda body: pytest.fail("nothing is answered"))
    return [outcome for _, _, outcome, *_ in whole.outcomes()]


def test_of_a_job_that_ended_early_as_many_questions_stay_charged_as_lines_cannot_be_read() -> None:
    unreadable, unknown, failed = Item("", End.UNREADABLE, b"{"), Item("u-0", End.ANSWERED), Item("t-1", End.FAILED)
    lost, undone = Outcome.UNREADABLE, Outcome.UNDONE
    assert reading([failed], partial=True) == [undone, Outcome.FAILED, undone, undone]
    assert reading([failed, unreadable, unknown], partial=True) == [lost, Outcome.FAILED, lost, undone]
    assert reading([failed], partial=False) == [lost, Outcome.FAILED, lost, lost]
    named = Item("", End.UNREADABLE, b'{"custom_id":"t-3","resp')
    assert reading([named], partial=True) == [undone, undone, undone, lost]
    assert reading([Item("", End.UNREADABLE, b'{"custom_id":"t-3')], partial=True) == [lost, undone, undone, undone]
