"""Watch over a model: when canaries are asked, and what follows from their answers."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from oracles.canaries import Canaries
from oracles.errors import OracleChanged
from oracles.oracle import Answers, Oracle, OracleSpec
from oracles.store import Store
from oracles.undo_log import UndoLogStore

_CANARIES = b"canaries"
_NEVER = sys.maxsize


class DriftWatch(Protocol):
    """Watches whether an oracle stays the same, and knows which recorded answers that is established for."""

    @property
    def store(self) -> Store:
        """Store where answers are to be recorded."""
        ...

    @property
    def written(self) -> int:
        """Amount recorded so far, a number that grows; beyond all that will ever stay once a check failed."""
        ...

    @property
    def committed(self) -> int:
        """The same of what stays; less than `written` where something is on probation."""
        ...

    @property
    def begun_with(self) -> int:
        """Queries that the start of the run spent on canaries."""
        ...

    def guard(self, oracle: Oracle) -> Oracle:
        """The oracle, asked only while it is the same."""
        ...

    def spare(self, queries: int | None) -> int | None:
        """The part of `queries` that can be spent on other things than canaries; None for no limit."""
        ...

    def finish(self) -> None:
        """A last check, where anything is on probation.

        Raises:
            OracleChanged: it is not the same; what was on probation is taken back.
            OracleError: it cannot be asked; what is on probation stays so, and a later process decides.
        """
        ...


@dataclass(frozen=True, slots=True)
class NoWatch:
    """For oracles that cannot change: their fingerprint covers the weights. Whatever is recorded stays."""

    store: Store
    written: int = 0
    committed: int = 0
    begun_with: int = 0

    def guard(self, oracle: Oracle) -> Oracle:
        """The oracle as it is."""
        return oracle

    def spare(self, queries: int | None) -> int | None:
        """All of them."""
        return queries

    def finish(self) -> None:
        """Nothing to check."""


class CanaryWatch:
    """Asks canaries before the first query, from time to time, and at the end.

    A check runs in the thread that finds it due; others go on asking. It commits what was recorded before it began, so
    whatever stays was answered between two passed checks. A failed one takes back all the rest, and from then on no
    query is let through.

    Args:
        oracle: asked about canaries, on their own account.
        images: (K, C, H, W) to use as canaries, where the store knows of none.
        store: keeps canaries, answers, and which of these are on probation.
        every_queries: after how many queries a check is due.
        every_seconds: after how many seconds, if a tenth of `every_queries` was asked meanwhile.
        remaining: queries that the budget has left, None for no limit.
        tell: called after the start and after each passed check.
        clock: seconds.

    Raises:
        OracleChanged: an earlier process left answers on probation, and the model is not the one that it asked.
        OracleError: the oracle cannot be asked.
    """

    def __init__(
        self,
        oracle: Oracle,
        images: Tensor,
        store: UndoLogStore,
        *,
        every_queries: int,
        every_seconds: float,
        remaining: Callable[[], int | None] = lambda: None,
        tell: Callable[[Canaries], None] = lambda canaries: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Observe the canaries, or remember what they answered."""
        self.store = store
        self._oracle = oracle
        self._every_queries, self._every_seconds = every_queries, every_seconds
        self._remaining, self._tell, self._clock = remaining, tell, clock
        self._lock, self._turn = threading.Lock(), threading.Lock()
        self._queries, self._checked_at = 0, clock()
        self._changed: str | None = None
        store.load_classes(oracle.spec.classes)
        (raw,) = store.read([_CANARIES])
        self._vouched = raw is None  # somebody in this process has seen that the model is the same
        self.canaries = self._observe(images) if raw is None else Canaries.from_bytes(raw)
        if self.written > self.committed:
            self._check()

    @property
    def written(self) -> int:
        """Rows recorded so far; `_NEVER` once a check failed, since votes that were taken back may still be counted."""
        written = self.store.written  # read before what follows, which is set before anything is taken back
        return written if self._changed is None else _NEVER

    @property
    def committed(self) -> int:
        """Those of them that stay."""
        return self.store.committed

    @property
    def begun_with(self) -> int:
        """Queries that it took to observe the canaries."""
        return self.canaries.asked

    def guard(self, oracle: Oracle) -> Oracle:
        """The oracle, asked only after a check that is due has passed."""
        return _GuardedOracle(oracle, self)

    def spare(self, queries: int | None) -> int | None:
        """Queries left without a check on resuming, one each `_sparsest` queries, and one at the end that suspects."""
        if queries is None:
            return None
        size, sparsest = len(self.canaries.images), self._sparsest
        return max(0, queries - size - self.canaries.most) * sparsest // (sparsest + size)

    @property
    def _sparsest(self) -> int:
        """Queries between two checks at least: slow oracles would spend a budget on canaries otherwise."""
        return -(-self._every_queries // 10)

    def finish(self) -> None:
        """Check where anything is on probation."""
        if self.written > self.committed:
            self._check()

    def before(self, queries: int) -> None:
        """Let queries pass, after a check where one is due.

        Raises:
            OracleChanged: a check has failed, this one or an earlier one.
            OracleError: the check could not be made.
        """
        if not self._vouched:
            with self._turn:  # the others wait
                if not self._vouched:
                    self._check()
        elif self._due():
            with self._turn:
                self._check()
        self._refuse()
        with self._lock:
            self._queries += queries

    def _due(self) -> bool:
        """True if this caller is to check now; then no other one is."""
        left, now = self._remaining(), self._clock()
        if left is not None and left < len(self.canaries.images) + self.canaries.most:
            return False  # what is left is for the last check
        with self._lock:
            late = self._queries >= self._sparsest and now - self._checked_at >= self._every_seconds
            if self._queries < self._every_queries and not late:
                return False
            self._queries, self._checked_at = 0, now
            return True

    def _refuse(self) -> None:
        if self._changed is not None:
            raise OracleChanged(self._changed)

    def _observe(self, images: Tensor) -> Canaries:
        canaries = Canaries.observe(images, self._oracle.query, lambda: self._oracle.spec)
        with self.store.transaction():
            self.store.save_classes(self._oracle.spec.classes)
            self.store.store.write({_CANARIES: canaries.to_bytes()})
        self._tell(canaries)
        return canaries

    def _check(self) -> None:
        self._refuse()
        until, canaries = self.store.written, self.canaries
        with self._lock:
            self._queries, self._checked_at = 0, self._clock()
        changed = canaries.changed(self._oracle.query, self._oracle.spec.feedback)
        if changed:
            self._changed = (
                f"the model behind {self._oracle.spec.name} was changed: {changed} of {int(canaries.steady.sum())} "
                "canary images are not answered as when the run began"
            )
            self.store.roll_back(self._changed)
            raise OracleChanged(self._changed)
        self.store.commit(until)
        self._vouched = True
        self._tell(canaries)


@dataclass(frozen=True, slots=True)
class _GuardedOracle:
    oracle: Oracle
    watch: CanaryWatch

    @property
    def spec(self) -> OracleSpec:
        return self.oracle.spec

    def query(self, images: Tensor) -> Answers:
        self.watch.before(len(images))
        return self.oracle.query(images)
