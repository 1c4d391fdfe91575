"""What an ended job came to, question by question, however well its results can be read.

Files of results are made and carried by others: lines may be cut off, come twice, be lacking or hold something else. No
such line counts as an answer, and none ends the run. Its question is taken for one that failed alone, and for billed
where the vendor may have billed it, so that a charge can only overstate.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from oracles.errors import AnswerError, ImageRefused
from oracles.oracle import Answers
from oracles.remote.batches.endpoint import End, Item
from oracles.remote.batches.journal import Job, Piece


class Outcome(Enum):
    """What a question came to."""

    ANSWERED = "answered, and billed"
    REFUSED = "the image is refused, and billed"
    SAYS_NOTHING = "answered with what is no answer, and billed"
    FAILED = "failed, and not billed"
    UNREADABLE = "nothing about it can be read, though it may be billed"
    UNDONE = "not come to, and not billed"

    @property
    def billed(self) -> bool:
        """Whether the vendor may bill it."""
        return self not in (Outcome.FAILED, Outcome.UNDONE)

    @property
    def failed(self) -> bool:
        """Whether it had its turn and came back without an answer."""
        return self in (Outcome.SAYS_NOTHING, Outcome.FAILED, Outcome.UNREADABLE)


@dataclass(frozen=True, slots=True)
class Results:
    """Results of a job, by question.

    Attributes:
        items: those that name a question of the job; two that contradict each other cannot be read.
        unreadable: lines that cannot be read and do not tell whose they are.
        unknown: lines about questions that the job does not hold.
        repeated: lines about a question that had another line.
        trouble: what is wrong with one of them, empty where nothing is.
    """

    items: Mapping[str, Item]
    unreadable: int
    unknown: int
    repeated: int
    trouble: str = ""

    @classmethod
    def of(cls, job: Job, found: Iterable[Item]) -> Results:
        """Sort what the vendor said of a job."""
        keys, trouble = {key for key, _, _ in job.questions()}, ""
        items: dict[str, Item] = {}
        unreadable = unknown = repeated = 0
        for item in found:
            key = item.key or _key_in(item.body, job.tag)
            trouble = trouble or (item.words if item.end is End.UNREADABLE else "")
            if key in keys:
                repeated += key in items
                items[key] = item if key not in items else _either(items[key], item)
            elif key:
                unknown += 1
            else:
                unreadable += 1
        return cls(items, unreadable, unknown, repeated, trouble)

    @property
    def strays(self) -> int:
        """Lines that may have been about a question of the job that has no other."""
        return self.unreadable + self.unknown

    def lacks(self, job: Job) -> bool:
        """True if something about a question of the job is missing or cannot be read."""
        ends = {item.end for item in self.items.values()}
        return len(self.items) < job.count or self.strays > 0 or End.UNREADABLE in ends

    def complaint(self, missing: int) -> str:
        """What cannot be read of them, in a line; empty where everything can.

        Args:
            missing: questions that had their turn and have no line.
        """
        unreadable = self.unreadable + sum(item.end is End.UNREADABLE for item in self.items.values())
        counts = {
            "cannot be read": unreadable,
            "are about questions that it does not hold": self.unknown,
            "repeat a question": self.repeated,
            "are missing": missing,
        }
        said = ", ".join(f"{number:,} {what}" for what, number in counts.items() if number)
        return f"of the lines of its results {said}" if said else ""


@dataclass(slots=True)
class Reading:
    """Reads the answers of one job.

    Args:
        job: whose.
        results: what the vendor said.
        partial: whether the job may have ended before all questions had their turn.
        read: from the body of a reply to the answer; raises as `WireProtocol.parse`.

    Attributes:
        trouble: why a question has no answer, empty where all have one.
        missing: questions that had their turn, as far as is known, and have no line.
    """

    job: Job
    results: Results
    partial: bool
    read: Callable[[bytes], Answers]
    trouble: str = field(default="", init=False)
    missing: int = field(default=0, init=False)

    def outcomes(self) -> Iterator[tuple[Piece, int, Outcome, Answers | None, bytes | None]]:
        """(piece, number of the draw, outcome, answer if there is one, body of the reply if so) of each question."""
        strays = self.results.strays
        for key, piece, draw in self.job.questions():
            item = self.results.items.get(key)
            if item is None:
                lost = not self.partial or strays > 0
                strays -= lost
                self.missing += lost and not self.partial
                yield piece, draw, self._lost() if lost else Outcome.UNDONE, None, None
            else:
                yield piece, draw, *self._outcome(item), item.body if item.end is End.ANSWERED else None

    def _lost(self) -> Outcome:
        self.trouble = self.trouble or self.results.trouble or "its results say nothing about a question"
        return Outcome.UNREADABLE

    def _outcome(self, item: Item) -> tuple[Outcome, Answers | None]:
        match item.end:
            case End.ANSWERED:
                return self._answer(item)
            case End.UNDONE:
                return Outcome.UNDONE, None
            case End.FAILED:
                self.trouble = self.trouble or item.words
                return Outcome.FAILED, None
        self.trouble = self.trouble or item.words
        return Outcome.UNREADABLE, None

    def _answer(self, item: Item) -> tuple[Outcome, Answers | None]:
        try:
            return Outcome.ANSWERED, self.read(item.body)
        except ImageRefused:
            return Outcome.REFUSED, None
        except AnswerError as error:
            self.trouble = self.trouble or str(error)
            return Outcome.SAYS_NOTHING, None


def _either(first: Item, second: Item) -> Item:
    """The one of two lines about a question that holds an answer; nothing that can be read where both hold another."""
    answers = [item for item in (first, second) if item.end is End.ANSWERED]
    if len(answers) == 2 and first.body != second.body:
        return Item(first.key, End.UNREADABLE, words="two lines of the results answer one question differently")
    return answers[0] if answers else first


def _key_in(line: bytes, tag: str) -> str:
    """The only question that a line names which cannot be read; empty where it names none or several."""
    found = set(re.findall(rb'"(' + re.escape(tag.encode()) + rb'-\d+)"', line))
    return found.pop().decode() if len(found) == 1 else ""
