"""The most images that a server takes in one request, learned from its refusals.

A refusal alone does not tell whether the number of images is at fault or one of them. It is the number once all images
of a refused batch were answered in smaller ones. Then the size of those is remembered, larger batches are not sent any
more, and what a refusal by status was charged is refunded: nothing was answered then. A batch that was lost in another
way, such as by replies of a wrong form, may have met bad luck: that teaches a limit only where it happens again before
a batch of its size is answered.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oracles.errors import BatchRefused
from oracles.oracle import Answers, Oracle, OracleSpec

if TYPE_CHECKING:
    from torch import Tensor

_log = logging.getLogger("bbsmooth.oracles")

_MOST_OPEN = 64
"""Refused batches whose images are looked out for."""


@dataclass(slots=True, eq=False)
class _Refusal:
    """A refused batch.

    Attributes:
        size: images in it.
        missing: digests of those that were not answered since.
        refund: takes back its charge, None where it stays.
        passed: size of the largest batch in which any of them was answered.
    """

    size: int
    missing: set[bytes]
    refund: Callable[[], None] | None
    passed: int = 0


class BatchLimit:
    """Shared by all threads that ask one server.

    Args:
        name: of the oracle, for the log.
        learned: told of each new limit.

    Attributes:
        largest: images in one request, None while nothing was learned.
    """

    def __init__(self, name: str, learned: Callable[[int], None] = lambda largest: None) -> None:
        """Nothing is known yet."""
        self.largest: int | None = None
        self._name, self._learned = name, learned
        self._lock = threading.Lock()
        self._open: list[_Refusal] = []
        self._suspected: int | None = None  # size of a batch that was lost once

    def refused(self, images: Tensor, refund: Callable[[], None] | None) -> None:
        """Note that a batch (B, C, H, W) was refused; `refund` takes back its charge."""
        refusal = _Refusal(len(images), set(_digests(images)), refund)
        with self._lock:
            self._open = [*self._open, refusal][-_MOST_OPEN:]

    def answered(self, images: Tensor) -> None:
        """Note that a batch (B, C, H, W) was answered; refunds what this proves to have been refused for its size."""
        if self._suspected is not None and len(images) >= self._suspected:
            self._suspected = None
        if not self._open:
            return
        digests = set(_digests(images))
        with self._lock:
            proven = [refusal for refusal in self._open if self._proves(refusal, digests, len(images))]
            self._open = [refusal for refusal in self._open if refusal not in proven]
        for refusal in proven:
            if refusal.refund is not None:
                refusal.refund()
            self._learn(refusal)

    @staticmethod
    def _proves(refusal: _Refusal, digests: set[bytes], size: int) -> bool:
        if size >= refusal.size or not digests & refusal.missing:
            return False
        refusal.missing -= digests
        refusal.passed = max(refusal.passed, size)
        return not refusal.missing

    def _learn(self, refusal: _Refusal) -> None:
        with self._lock:
            if self.largest is not None and self.largest <= refusal.passed:
                return
            if refusal.refund is None and self._suspected is None:
                self._suspected = refusal.size
                return
            self.largest = refusal.passed
        self._learned(refusal.passed)
        _log.warning(
            "%s refused %d images in one request and answered them %d at a time: no more are sent from now on%s",
            self._name,
            refusal.size,
            refusal.passed,
            "" if refusal.refund is None else "; what was refused is not charged",
        )


@dataclass(frozen=True, slots=True)
class BatchLimitOracle:
    """Sends no batch that is larger than what the server is known to take, and learns what it takes.

    It belongs right outside of whatever charges and repeats one request.

    Args:
        oracle: asked.
        limit: of the server.
        refund: takes back the charge of a number of queries.
    """

    oracle: Oracle
    limit: BatchLimit
    refund: Callable[[int], None]

    @property
    def spec(self) -> OracleSpec:
        """As inside."""
        return self.oracle.spec

    def query(self, images: Tensor) -> Answers:
        """Answer a batch.

        Raises:
            BatchRefused: it is too large, as far as is known; nothing was sent where that was known before.
        """
        count, largest = len(images), self.limit.largest
        if largest is not None and count > largest:
            raise BatchRefused(f"{self.spec.name} takes {largest} images in a request, not {count}", unanswered=True)
        try:
            answers = self.oracle.query(images)
        except BatchRefused as error:
            self.limit.refused(images, (lambda: self.refund(count)) if error.unanswered else None)
            raise
        self.limit.answered(images)
        return answers


def _digests(images: Tensor) -> list[bytes]:
    return [hashlib.blake2b(image.numpy().tobytes(), digest_size=16).digest() for image in images.contiguous().cpu()]
