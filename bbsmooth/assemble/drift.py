"""Watch for changes of the model: which images are canaries, what is held back, what the manifest says."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from bbsmooth.assemble import Account, charged
from bbsmooth.noise import Grid, stream_name
from bbsmooth.randomness import Stream
from bbsmooth.runs.directory import RunDirectory, now
from bbsmooth.settings.common import DriftConfig, SmoothingConfig
from oracles import BudgetExhausted, Oracle, OracleChanged, Purpose
from oracles.canaries import Canaries
from oracles.identity import IdentifiedOracle
from oracles.undo_log import UndoLogStore
from oracles.watch import CanaryWatch, DriftWatch, NoWatch

_log = logging.getLogger(__name__)

DRIFT = "drift"
LEAST = 3
"""Least queries of a run for each canary: two at the start, one at the end."""

EVERY_SECONDS = 300.0
"""Seconds after which a check is due, if anything was asked meanwhile."""

_WHITE = 255

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryImages:
    """Source of the canaries: clean and noisy images in turn.

    Models that agree on clean images often differ on noisy ones, and those are what a run asks about.

    Args:
        image: gives the image (C, H, W) uint8 of a number.
        among: number of images among which the canaries are evenly spaced.
        smoothing: the noise.
        grid: on which it is added for the bare oracle.
    """

    image: Callable[[int], Tensor]
    among: int
    smoothing: SmoothingConfig
    grid: Grid

    def choose(self, count: int) -> Tensor:
        """(count, C, H, W): an image that comes a second time is always under noise, and never under the same."""
        places = [number * self.among // count for number in range(count)]
        return torch.stack(
            [
                self._noisy(self.image(place), number)
                if number % 2 or place in places[:number]
                else self._clean(self.image(place))
                for number, place in enumerate(places)
            ]
        )

    def _clean(self, image: Tensor) -> Tensor:
        return image.float() / _WHITE if self.grid.bits else image

    def _noisy(self, image: Tensor, draw: int) -> Tensor:
        noise = self.smoothing.distribution
        stream = Stream(stream_name(self.smoothing.seed, "canary", image, noise, self.grid))
        return self.grid.noisy(image, noise, stream, first=draw, count=1)[0]


@contextmanager
def watched(
    run: RunDirectory, oracle: Oracle, kept: Account, config: DriftConfig, canaries: CanaryImages
) -> Iterator[Watching]:
    """DriftWatch over an oracle while the block runs, with a last check at its end.

    The last check is also made where the budget has ended the block. Whatever ends it otherwise leaves what is on
    probation as it is, and the process that resumes the run decides about it. However it ends, results that are
    established by then are released.

    Args:
        run: whose manifest says how the model stood.
        oracle: without a meter.
        kept: the account of the run.
        config: how many canaries, and when.
        canaries: which images serve as canaries.

    Raises:
        OracleChanged: the model is not the one that the run began with; the manifest says so.
        OracleError: see there.
    """
    notes, count = _Notes(run, oracle, kept, config), config.number(oracle.spec.remote)
    try:
        watching = Watching(notes.open(canaries.choose(count)) if count else notes.none())
        try:
            yield watching
            watching.watch.finish()
        except BaseException as error:
            with suppress(OSError):  # on a full disk; the error says more
                watching.flush()
                if isinstance(error, BudgetExhausted):
                    watching.watch.finish()
                    watching.flush()
            raise
        watching.flush()
    except OracleChanged as error:
        with suppress(OSError):  # as above
            notes.changed(error)
        raise


@dataclass(frozen=True, slots=True)
class Watching:
    """A watch, and what waits for it.

    Attributes:
        watch: over the oracle.
    """

    watch: DriftWatch
    _held: list[Held[Any]] = field(default_factory=list)

    def hold(self, release: Callable[[T], None]) -> Held[T]:
        """A place for results that must not be seen before every answer behind them is established."""
        self._held.append(Held(self.watch, release))
        return self._held[-1]

    def flush(self) -> None:
        """Release what can be."""
        for held in self._held:
            held.flush()


@dataclass(slots=True)
class Held(Generic[T]):
    """Results that wait, in order, until every answer behind them is established.

    Args:
        watch: knows what is.
        release: called with each result when its time has come.
    """

    watch: DriftWatch
    release: Callable[[T], None]
    _waiting: deque[tuple[int, T]] = field(default_factory=deque)

    def add(self, result: T) -> None:
        """Hold back a result of which all answers are on record, and release what can be."""
        self._waiting.append((self.watch.written, result))
        self.flush()

    def flush(self) -> None:
        """Release what can be."""
        committed = self.watch.committed
        while self._waiting and self._waiting[0][0] <= committed:
            self.release(self._waiting.popleft()[1])


@dataclass(slots=True)
class _Notes:
    """Notes on canaries, for the manifest and stderr."""

    run: RunDirectory
    oracle: Oracle
    kept: Account
    config: DriftConfig

    def open(self, images: Tensor) -> DriftWatch:
        """Begin, or go on."""
        begun = "canaries" in self._entry
        watch = CanaryWatch(
            IdentifiedOracle(charged(self.oracle, self.kept.ledger, Purpose.DRIFT), self.kept.store),
            images,
            UndoLogStore(self.kept.store),
            every_queries=self.config.canary_every,
            every_seconds=EVERY_SECONDS,
            remaining=lambda: self.kept.ledger.remaining,
            tell=self.passed,
        )
        self.kept.ledger.set_aside(watch.canaries.most, purpose=Purpose.DRIFT)  # a repeated vote may not take it
        if not begun:
            self._warn(watch.canaries)
        return watch

    def none(self) -> DriftWatch:
        """Go without canaries."""
        journal = UndoLogStore(self.kept.store)
        if journal.written > journal.committed:  # nobody can vouch for what an earlier process left on probation
            journal.roll_back("without canaries")
        if self.oracle.spec.remote:
            self._write(canaries=0, warning="no canaries: a model that changes without saying so is not noticed")
        return NoWatch(self.kept.store)

    def passed(self, canaries: Canaries) -> None:
        """A check found the model unchanged."""
        self._write(
            canaries=len(canaries.images),
            steady=int(canaries.steady.sum()),
            deterministic=canaries.deterministic,
            tolerance=canaries.tolerance,
            every_queries=self.config.canary_every,
            every_seconds=EVERY_SECONDS,
            checks=self._entry.get("checks", 0) + 1,
            last_passed=self._moment(),
        )

    def changed(self, error: OracleChanged) -> None:
        """The model is another one."""
        found = self._moment() | {"what": str(error), "last_passed": self._entry.get("last_passed")}
        self._write(changed=[*self._entry.get("changed", []), found])

    @property
    def _entry(self) -> dict[str, Any]:
        return self.run.manifest.get("drift") or {}

    def _moment(self) -> dict[str, Any]:
        return {"time": now(), "queries": self.kept.ledger.total}

    def _write(self, **facts: Any) -> None:
        identity = {"identity": dict(self.oracle.spec.identity)} if self.oracle.spec.identity else {}
        self.run.note(DRIFT, self._entry | facts | identity)

    def _warn(self, canaries: Canaries) -> None:
        if not canaries.deterministic:
            _log.warning(
                f"{self.oracle.spec.name} answers the same image differently; only large changes of it can be noticed"
            )
        if not canaries.steady.any():
            _log.warning("no canary image gets the same answer twice: a change of the model cannot be noticed")
