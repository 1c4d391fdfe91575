"""Answers that are not ready at once: asked for again and again, at an address that the first reply names."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, runtime_checkable
from urllib.parse import urljoin, urlsplit

from oracles.errors import AnswerError, AnswerLate, AnswerLost, OracleError, QuestionRejected, Unanswered
from oracles.remote.failures import of_status, presentable, retry_after
from oracles.remote.messages import Reply, Request
from oracles.remote.secrets import STRUCK, placeholders, refuse_credentials

if TYPE_CHECKING:
    from oracles.remote.circuit_breaker import CircuitBreaker

SUCCESSES = (200, 201, 202)
"""Statuses of replies whose bodies are read as a whole."""

_SHOWN = 200
_LONGEST_STEP = 10.0
"""Seconds between two looks at an answer that is long in coming."""


@runtime_checkable
class Polled(Protocol):
    """A protocol some of whose replies only say where the answer will be."""

    @property
    def poll_seconds(self) -> float:
        """Seconds until the first look; later ones come more slowly."""
        ...

    def is_answer(self, reply: Reply, *, first: bool) -> bool:
        """True if a reply holds the answer.

        Args:
            reply: of a status that is a success.
            first: whether it is the one to the question.

        Raises:
            AnswerError: there will be no answer.
        """
        ...

    def look(self, reply: Reply) -> Request:
        """The request that brings the answer, from the reply to the question.

        Raises:
            AnswerError: the reply does not say where that is.
        """
        ...


def awaited(
    protocol: Polled, reply: Reply, *, send: Callable[[Request], Reply], breaker: CircuitBreaker, seconds: float
) -> Reply:
    """The reply that holds the answer.

    The question is paid for, so a look at the answer that fails is taken again.

    Args:
        protocol: tells what to look at.
        reply: to the question, of a status that is a success.
        send: sends a request.
        breaker: of all who ask the server; waits.
        seconds: after which nobody waits for the answer any more.

    Raises:
        AnswerLate: it did not come in time.
        AnswerError: there will be none.
        OracleUnavailable: the address of the answer is refused.
    """
    if protocol.is_answer(reply, first=True):
        return reply
    look = protocol.look(reply)
    until, pause, after = time.monotonic() + seconds, protocol.poll_seconds, retry_after(reply.headers)
    failure: OracleError | None = None
    while True:
        wait = max(pause, after or 0.0)
        if time.monotonic() + wait > until:
            raise AnswerLate(f"{look.url} had no answer in time{'' if failure is None else f': {failure}'}")
        breaker.sleep(wait)
        pause = min(1.5 * pause, max(_LONGEST_STEP, protocol.poll_seconds))
        try:
            reply = send(look)
        except (Unanswered, AnswerLost) as error:
            failure, after = error, None
            continue
        after, failure = retry_after(reply.headers), None
        if reply.status in SUCCESSES:
            if protocol.is_answer(reply, first=False):
                return reply
            continue
        failure = of_status(reply, look.url)
        if isinstance(failure, QuestionRejected):
            raise AnswerError(str(failure))
        if not isinstance(failure, Unanswered | AnswerLost):
            raise failure


def address(url: str, found: object) -> str:
    """The address of an answer, on the server that was asked.

    Args:
        url: that was asked.
        found: what the reply says, relative or absolute.

    Raises:
        AnswerError: no address, or one elsewhere: credentials would go there.
    """
    if not isinstance(found, str) or not found:
        raise AnswerError("the reply does not say where its answer will be")
    shown = presentable(found.partition("?")[0])[:_SHOWN]
    try:
        joined = urljoin(url, found)
        refuse_credentials(joined)
        fine = urlsplit(joined)[:2] == urlsplit(url)[:2] and placeholders(joined) <= placeholders(url)
    except ValueError:
        fine = False
    if not fine or STRUCK in found or not joined.isascii() or " " in joined:
        raise AnswerError(f"the answer would be at {shown}, which is not on the server that was asked")
    return joined
