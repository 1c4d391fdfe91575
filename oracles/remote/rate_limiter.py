"""Limits on how fast a server is asked: how many requests a second, and how many at once."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from oracles.errors import AnswerLate, Unanswered
from oracles.oracle import Answers, Oracle, OracleSpec
from oracles.remote.circuit_breaker import CircuitBreaker

if TYPE_CHECKING:
    from torch import Tensor

REFUSED_FACTOR = 0.5
"""How the limit shrinks where the server turns a request away or does not answer in time."""

SLOWER_FACTOR = 0.8
"""How it shrinks where answers take longer than they used to."""

SLOWER = 2.0
"""Answers take longer if their recent time is this many times their usual one, ..."""

SLOWER_SECONDS = 0.02
"""... and so much more than that: less is the noise of machine and network."""

_RECENT, _USUAL = 1 / 8, 1 / 128
_LOOK = 0.2


class TokenBucket:
    """A bucket that holds one token, and gets a new one every `seconds`; each request takes one.

    As it never holds two, at most n requests begin in any n * `seconds`: a limit for a second or a minute holds for
    every second or minute, not only on average.
    """

    def __init__(self, seconds: float) -> None:
        """The token is there."""
        self._seconds = seconds
        self._lock = threading.Lock()
        self._next = -math.inf

    def take(self, now: float) -> float:
        """Take the next token that nobody has taken; how long to wait for it."""
        with self._lock:
            begin = max(now, self._next)
            self._next = begin + self._seconds
            return begin - now


class AdaptiveLimit:
    """Limit on the requests under way: grows slowly, shrinks fast, between 1 and `most`.

    Additive increase, multiplicative decrease (Chiu, Jain 1989). It begins at 1 and grows by 1 with each answer until
    it first shrinks, from then on by 1 with each round of answers. It shrinks once for all requests that were under way
    together: these tell the same.
    """

    def __init__(self, most: int) -> None:
        """Nothing is known of the server."""
        self._most = most
        self._limit = 1.0
        self._doubling = True
        self._shrunk_at = -math.inf

    @property
    def limit(self) -> int:
        """Requests that may be under way."""
        return int(self._limit)

    def answered(self) -> None:
        """A request was answered."""
        self._limit = min(self._most, self._limit + (1.0 if self._doubling else 1 / self._limit))

    def shrink(self, factor: float, *, begun: float, now: float) -> None:
        """A request that began at `begun` tells that these are too many."""
        if begun >= self._shrunk_at:
            self._limit = max(1.0, self._limit * factor)
            self._doubling, self._shrunk_at = False, now


@dataclass(slots=True)
class LatencyAverage:
    """Averages of how long answers take, lately and usually: two means that forget, one fast and one slowly.

    So the baseline is the server's own, at the concurrency that it has settled at, and not the best it ever did.
    """

    recent: float = math.nan
    usual: float = math.nan

    def slower(self, seconds: float) -> bool:
        """Take in one more time; whether answers take longer than usual."""
        if math.isnan(self.usual):
            self.recent = self.usual = seconds
        self.recent += _RECENT * (seconds - self.recent)
        self.usual += _USUAL * (seconds - self.usual)
        return self.recent > max(SLOWER * self.usual, self.usual + SLOWER_SECONDS)


@dataclass(slots=True)
class RateLimiter:
    """Lets requests begin, one after the other and not too many at once; shared by all who ask one server.

    Args:
        breaker: gives the time; once it is open, nobody is let in.
        most: requests under way at once.
        seconds_between: the beginnings of two requests, 0 for no limit.
    """

    breaker: CircuitBreaker
    most: int
    seconds_between: float
    limit: AdaptiveLimit = field(init=False)
    _bucket: TokenBucket = field(init=False)
    _latencies: dict[int, LatencyAverage] = field(init=False, default_factory=dict)
    _under_way: int = field(init=False, default=0)
    _changed: threading.Condition = field(init=False, default_factory=threading.Condition)

    def __post_init__(self) -> None:
        """Nothing is under way."""
        self.limit, self._bucket = AdaptiveLimit(self.most), TokenBucket(self.seconds_between)

    def wait(self) -> None:
        """Wait until the rate allows the next request to begin.

        Raises:
            OracleUnavailable: the circuit breaker is open.
        """
        if self.seconds_between > 0:
            self.breaker.sleep(self._bucket.take(self.breaker.now()))
        else:
            self.breaker.check()

    @contextmanager
    def slot(self, images: int) -> Iterator[None]:
        """Wait until one more request may be under way; how the block ends tells how the server bears it.

        Args:
            images: in the request: times are compared among requests of a size.

        Raises:
            OracleUnavailable: the circuit breaker is open.
        """
        self._enter()
        begun = self.breaker.now()
        try:
            self.wait()
            begun = self.breaker.now()
            yield
        except (Unanswered, AnswerLate):
            self._leave(begun, REFUSED_FACTOR)
            raise
        except BaseException:
            self._leave(begun, 1.0)
            raise
        self._leave(begun, None, images)

    def _enter(self) -> None:
        with self._changed:
            self.breaker.check()
            while self._under_way >= self.limit.limit:
                self._changed.wait(_LOOK)
                self.breaker.check()
            self._under_way += 1

    def _leave(self, begun: float, factor: float | None, images: int = 0) -> None:
        """Count out a request.

        Args:
            begun: when it began.
            factor: by which the limit shrinks, 1 where it stays, None where its time decides.
            images: in it, where they were answered.
        """
        with self._changed:
            self._under_way -= 1
            now = self.breaker.now()
            if factor is None:
                slower = self._latencies.setdefault(images, LatencyAverage()).slower(now - begun)
                factor = SLOWER_FACTOR if slower else None
            if factor is None:
                self.limit.answered()
            elif factor < 1:
                self.limit.shrink(factor, begun=begun, now=now)
            if (free := self.limit.limit - self._under_way) > 0:
                self._changed.notify(free)  # not all who wait, of whom most would wait again


@dataclass(frozen=True, slots=True)
class RateLimitedOracle:
    """Waits for the rate limiter before each question. It belongs outside whatever charges: waiting is free."""

    oracle: Oracle
    limiter: RateLimiter

    @property
    def spec(self) -> OracleSpec:
        """As inside."""
        return self.oracle.spec

    def query(self, images: Tensor) -> Answers:
        """Wait, then ask."""
        with self.limiter.slot(len(images)):
            return self.oracle.query(images)
