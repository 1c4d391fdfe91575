"""Traffic over the wire: bytes, repetitions, and how long replies took."""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from oracles.usage import NO_USAGE, Metered

STEPS = 8
"""Bins of the histogram in a factor of two of time: a percentile is right within 4.5 percent."""

_FASTEST, _SLOWEST = 1e-5, 1e5
PERCENTILES = (50, 90, 99)


class Traffic:
    """Counts, from any thread, in a fixed amount of memory; counts of several processes add up.

    Attributes:
        retries: requests sent again.
        sent: bytes written, headers included, before encryption.
        received: bytes read, as they came, after decryption.
        batch_limit: images that the server takes in one request, as it turned out; None where it did not.
    """

    def __init__(self) -> None:
        """Nothing happened yet."""
        self._lock = threading.Lock()
        self.retries = 0
        self.sent = 0
        self.received = 0
        self._bins: Counter[int] = Counter()
        self.batch_limit: int | None = None
        self._metered = NO_USAGE

    def told(self, usage: Metered) -> None:
        """Count what replies told of their tokens."""
        if usage is NO_USAGE:
            return
        with self._lock:
            self._metered += usage

    @property
    def metered(self) -> Metered:
        """What all replies told of their tokens."""
        with self._lock:
            return self._metered

    def exchanged(self, sent: int, received: int, seconds: float | None) -> None:
        """Count a request and its reply; `seconds` is None where none came."""
        with self._lock:
            self.sent += sent
            self.received += received
            if seconds is not None:
                self._bins[_bin(seconds)] += 1

    def retried(self) -> None:
        """Count a request sent again."""
        with self._lock:
            self.retries += 1

    def add(self, counts: Mapping[str, Any]) -> None:
        """Count what another process has counted, as `taken` gave it."""
        other = Traffic.from_json(counts)
        with self._lock:
            self.retries += other.retries
            self.sent += other.sent
            self.received += other.received
            self._bins.update(other._bins)
            self._metered += other._metered

    def taken(self) -> dict[str, Any]:
        """Return what `as_json` says, and begin to count anew."""
        with self._lock:
            other = Traffic()
            other.retries, other.sent, other.received, other._bins = self.retries, self.sent, self.received, self._bins
            other._metered = self._metered
            self.retries = self.sent = self.received = 0
            self._bins, self._metered = Counter(), NO_USAGE
        return other.as_json()

    def percentile(self, percent: float) -> float | None:
        """Seconds within which `percent` percent of the replies came; None where none came."""
        with self._lock:
            found = _percentiles(sorted(self._bins.items()), [percent])
        return found[0][1] if found else None

    def as_json(self, metered: Metered | None = None) -> dict[str, Any]:
        """Entries of `ledger.json` about the traffic, with these tokens in place of those of now."""
        with self._lock:
            bins = sorted(self._bins.items())
            return {
                "retries": self.retries,
                "bytes": self.sent + self.received,
                "bytes_sent": self.sent,
                "bytes_received": self.received,
                "latency": {f"p{percent}": round(seconds, 6) for percent, seconds in _percentiles(bins, PERCENTILES)},
                "latency_bins": dict(bins),
                **({} if self.batch_limit is None else {"batch_limit": self.batch_limit}),
                **(metered or self._metered).as_json(),
            }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Traffic:
        """Read what `as_json` said; what is left out is 0.

        Raises:
            ValueError, TypeError, AttributeError: something else.
        """
        traffic = cls()
        traffic.retries = count(state.get("retries", 0))
        traffic.sent = count(state.get("bytes_sent", 0))
        traffic.received = count(state.get("bytes_received", 0))
        limit = state.get("batch_limit")
        traffic.batch_limit = None if limit is None else max(1, count(limit))
        traffic._metered = Metered.from_json(state)
        bins = state.get("latency_bins", {})
        traffic._bins = Counter({_bin(2 ** (int(name) / STEPS)): count(number) for name, number in bins.items()})
        return traffic


def _percentiles(bins: list[tuple[int, int]], percents: Sequence[float]) -> list[tuple[float, float]]:
    """(percent, seconds) for each of the rising `percents`, from (bin, count) pairs in order; none without pairs."""
    if not bins:
        return []
    seen = list(accumulate(number for _, number in bins))
    places = [(percent, bins[bisect_left(seen, math.ceil(seen[-1] * percent / 100))][0]) for percent in percents]
    return [(percent, 2 ** ((place + 0.5) / STEPS)) for percent, place in places]


def _bin(seconds: float) -> int:
    return math.floor(math.log2(min(max(seconds, _FASTEST), _SLOWEST)) * STEPS + 1e-9)


def count(value: Any) -> int:
    """The value. Raises `ValueError` where it is no number of things."""
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is not a count")
    return value
