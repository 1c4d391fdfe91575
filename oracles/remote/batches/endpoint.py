"""The seam between what a run needs of a batch interface and what each vendor calls it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol, TypeVar

from oracles.errors import AnswerError, AnswerLost, OracleUnavailable, Unanswered
from oracles.remote.failures import of_status, presentable
from oracles.remote.json_text import load_object
from oracles.remote.messages import Reply, Request
from oracles.remote.wire_protocol import Send

T = TypeVar("T")
SUCCESSES = range(200, 300)
_GONE = (404, 410)
DISCOUNT = 0.5
"""Share of the price that a batch saves: OpenAI, Anthropic, Google and Mistral all say 50 % (read in November 2026)."""

_JSON: Mapping[str, str] = {"Content-Type": "application/json"}

WINDOW_HOURS = 24.0
"""Hours within which each of them means to answer a job; most are answered much sooner."""

_SHOWN = 200
"""Characters of a vendor's words in an error."""

_TRIES = 6  # with pauses of 31 seconds together


class End(Enum):
    """End of one question of a job."""

    ANSWERED = "answered"
    FAILED = "the vendor says that it failed, and does not bill it"
    UNDONE = "expired or cancelled before its turn, and not billed"
    UNREADABLE = "nothing that can be read, though it may be answered and billed"


@dataclass(frozen=True, slots=True)
class Item:
    """What a job says of one question.

    Attributes:
        key: the name that the question was given, empty where that cannot be read.
        end: how it ended.
        body: of the reply, where it is answered; what stands in its place, where that cannot be read.
        words: of the vendor, where it is not; ours, where it cannot be read.
    """

    key: str
    end: End
    body: bytes = field(default=b"", repr=False)
    words: str = ""


@dataclass(frozen=True, slots=True)
class JobState:
    """State of a job.

    Attributes:
        ended: whether nothing more will come.
        words: why the vendor refused the job as a whole, empty where it did not.
        full: whether it did so because too much waits already.
        partial: whether it ended before all of its questions had their turn.
        tree: what the vendor said, in its own form.
    """

    ended: bool
    words: str = ""
    full: bool = False
    partial: bool = False
    tree: Mapping[str, Any] = field(default_factory=dict, repr=False)


class Gone(OracleUnavailable):
    """The vendor knows nothing of what it was asked about, or does not keep it any more."""


class Found(Enum):
    """Outcome of a search for a job that has no certain match."""

    ABSENT = "no job of this tag is there"
    PERHAPS = "a job may be it, which only its end will tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """Most of what one job takes.

    Attributes:
        requests: questions.
        size: bytes of all questions.
    """

    requests: int
    size: int


class BatchEndpoint(Protocol):
    """The batch interface of one vendor, for one oracle.

    Whatever it sends may raise the errors of `Send`, and of `of_status` for a reply that is no success.
    """

    @property
    def name(self) -> str:
        """The vendor's, for people."""
        ...

    @property
    def limits(self) -> BatchLimits:
        """Most of what one job takes."""
        ...

    def line(self, key: str, request: Request) -> bytes:
        """One question of a job: what `request` asks, under a name of 1 to 64 letters, digits, `-` and `_`."""
        ...

    def stage(self, lines: Sequence[bytes], tag: str) -> bytes:
        """Bring the questions to where a job can take them from, which is not billed; the body that submits the job."""
        ...

    def submit(self, body: bytes) -> str:
        """Submit the job, which is billed; its name.

        Raises:
            Unanswered: it provably was not submitted.
            AnswerLost: nobody knows.
        """
        ...

    def look(self, job: str) -> JobState:
        """The state of a job."""
        ...

    def items(self, state: JobState) -> Iterator[Item]:
        """What an ended job says of its questions, in any order; what cannot be read is an item too."""
        ...

    def find(self, tag: str, count: int, since: float) -> str | Found:
        """The name of a job that was submitted, and whose reply never came.

        Args:
            tag: of the job.
            count: of its questions.
            since: seconds since 1970 before which it cannot have been submitted.
        """
        ...

    def cancel(self, job: str) -> None:
        """Ask for no more answers; what is answered by then is billed. Nothing happens to a job that has ended."""
        ...


def ask(send: Send, request: Request) -> Reply:
    """The reply to a request, a success.

    Raises:
        Gone: there is nothing at its address.
        OracleError: it is no success, see `of_status`; or there is no reply.
    """
    reply = send(request)
    if reply.status in _GONE:
        raise Gone(str(of_status(reply, request.url)))
    if reply.status not in SUCCESSES:
        raise of_status(reply, request.url)
    return reply


def asked(send: Send, method: str, url: str, body: bytes = b"") -> dict[str, Any]:
    """The JSON object that a success replies with."""
    headers = _JSON if body else {}
    return load_object(ask(send, Request(method, url, headers, body)).body)


def name_of(tree: Mapping[str, Any], member: str = "id") -> str:
    """The name that a reply gives to what it made.

    Raises:
        AnswerLost: it gives none, so that nobody knows what there is now.
    """
    name = tree.get(member)
    if not isinstance(name, str) or not name:
        raise AnswerLost(f"the reply to a new job should name it by {member!r}")
    return name


def submitted(send: Send, url: str, body: bytes, member: str = "id", *, headers: Mapping[str, str] = _JSON) -> str:
    """The name of a job that is submitted.

    Raises:
        AnswerLost: the reply does not tell.
    """
    try:
        return name_of(load_object(ask(send, Request("POST", url, headers, body)).body), member)
    except AnswerError as error:
        raise AnswerLost(str(error)) from error


def repeated(call: Callable[[], T], sleep: Callable[[float], None]) -> T:
    """Whatever a call returns that costs nothing, after as many tries as that takes.

    Raises:
        OracleUnavailable: it failed each time.
    """
    pause = 1.0
    for _ in range(_TRIES - 1):
        try:
            return call()
        except (Unanswered, AnswerLost) as error:
            wished = error.retry_after if isinstance(error, Unanswered) else None
            sleep(max(pause, wished or 0.0))
            pause *= 2
    try:
        return call()
    except AnswerLost as error:
        raise OracleUnavailable(str(error)) from error


def refused_words(error: object) -> str:
    """The vendor's words in an error, on one line, short and without control characters."""
    if isinstance(error, Mapping):
        inner = error.get("error")
        if isinstance(inner, Mapping | str):
            return refused_words(inner)
        parts = [str(error[name]) for name in ("code", "type", "message", "status") if error.get(name)]
        return presentable(" ".join(parts)[:_SHOWN])
    return presentable(str(error)[:_SHOWN]) if error else ""
