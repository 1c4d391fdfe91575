"""Probes of an oracle: whether it repeats itself, how long it takes, what it manages at once."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import torch
from torch import Tensor

from oracles import Answers, Budget, BudgetExhausted, Ledger, MeteredOracle, Oracle, OracleError, Purpose

BATCH_SIZES = (1, 8, 64, 256)
CONCURRENCIES = (1, 2, 4, 8, 16, 32)
WORTH = 1.1
"""A larger batch or one more call at a time has to bring so much more, or the search ends."""

_BATCH = 4
_SINGLES = 4
_SECONDS = 0.25  # a measurement goes on until then
_SHARE = 6  # but spends no more than this part of the budget, unless one round of calls costs more


@dataclass(frozen=True, slots=True, kw_only=True)
class Repetition:
    """Measurement of whether an oracle gives the same image the same answer.

    Attributes:
        twice: two calls with nothing else gave the same bits.
        in_batch: so did a call in which other images stood beside it; None where no call takes several.
        same_labels: the most likely class was the same each time, at least.
        largest_difference: between scores; between labels 1 where they differ.
    """

    twice: bool
    in_batch: bool | None
    same_labels: bool
    largest_difference: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Throughput of one way of asking.

    Attributes:
        batch_size: images in one call.
        concurrency: calls under way at once.
        images_per_second: None where it failed.
        failure: what the oracle said then.
    """

    batch_size: int
    concurrency: int
    images_per_second: float | None
    failure: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Measured rates, and what follows from them.

    Attributes:
        measured: in the order of the search.
        best: the smallest way of asking that nothing measured beats by much, None where all failed.
        cut_short: whether the budget ended the search.
    """

    measured: tuple[Rate, ...]
    best: Rate | None
    cut_short: bool


@dataclass(slots=True)
class Probe:
    """Asks an oracle about pictures of noise, within a budget.

    Args:
        oracle: to ask.
        image_shape: (C, H, W) of the pictures.
        budget: of all queries.
        generator: of the pictures.
        wait: until the next call may begin.
    """

    oracle: Oracle
    image_shape: tuple[int, int, int]
    budget: Budget
    generator: torch.Generator
    wait: Callable[[], None] = lambda: None
    ledger: Ledger = field(init=False)
    _metered: MeteredOracle = field(init=False)
    _pictures: Tensor = field(init=False)

    def __post_init__(self) -> None:
        """Draw the pictures."""
        self.ledger = Ledger(self.budget)
        self._metered = MeteredOracle(self.oracle, self.ledger, Purpose.PREDICT)
        count = min(max(BATCH_SIZES), self.oracle.spec.max_batch or max(BATCH_SIZES))
        shape = (count, *self.image_shape)
        self._pictures = torch.randint(0, 256, shape, dtype=torch.uint8, generator=self.generator)

    def ask(self, images: Tensor) -> Answers:
        """Answers to images (B, C, H, W), charged."""
        self.wait()
        return self._metered.query(images)

    def repetition(self) -> Repetition:
        """Ask about one picture twice alone, and once in a batch with others. Costs at most 6 queries."""
        again = [self.ask(self._pictures[:1]) for _ in range(2)]
        batch = self._pictures[:_BATCH].flip(0)
        beside = [_last(self.ask(batch))] if len(batch) > 1 else []
        return Repetition(
            twice=_difference(again) == 0,
            in_batch=_difference(again + beside) == 0 if beside else None,
            same_labels=len(set(Answers.join(again + beside).labels.tolist())) == 1,
            largest_difference=_difference(again + beside),
        )

    def latency(self) -> float:
        """Median seconds of a call with one picture. Costs 4 queries."""
        seconds = []
        for number in range(_SINGLES):
            self.wait()
            started = time.perf_counter()
            self._metered.query(self._pictures[number % len(self._pictures)].unsqueeze(0))
            seconds.append(time.perf_counter() - started)
        return statistics.median(seconds)

    def rates(self) -> Rates:
        """Look for the way of asking that achieves most: larger batches first, then more calls at once.

        Each search goes on while it is worth it and can be paid for.
        """
        sizes = [size for size in BATCH_SIZES if size < len(self._pictures)] + [len(self._pictures)]
        measured: list[Rate] = []
        affordable = self._climb(((size, 1) for size in sizes), measured)
        if (best := _best(measured)) is not None:
            more = ((best.batch_size, concurrency) for concurrency in CONCURRENCIES[1:])
            affordable &= self._climb(more, measured, best)
        return Rates(measured=tuple(measured), best=_best(measured), cut_short=not affordable)

    def _climb(self, ways: Iterable[tuple[int, int]], measured: list[Rate], best: Rate | None = None) -> bool:
        """Measure until it is not worth it; whether all that the search asked for could be paid."""
        for size, concurrency in ways:
            if not self._affordable(size * concurrency):
                return False
            rate = self._rate(size, concurrency)
            measured.append(rate)
            if rate.images_per_second is None:
                return True
            if best is not None and rate.images_per_second < WORTH * (best.images_per_second or 0):
                return True
            best = rate
        return True

    def _affordable(self, queries: int) -> bool:
        return self.ledger.remaining is None or queries <= self.ledger.remaining

    def _rate(self, size: int, concurrency: int) -> Rate:
        """Rounds of calls until the time or this measurement's share of the budget is over."""
        share = 0 if self.budget.limit is None else self.budget.limit // _SHARE
        started, images = time.perf_counter(), 0
        with ThreadPoolExecutor(concurrency) as pool:
            while True:
                try:
                    list(pool.map(self.ask, [self._pictures[:size]] * concurrency))
                except BudgetExhausted:
                    raise
                except OracleError as error:
                    return Rate(batch_size=size, concurrency=concurrency, images_per_second=None, failure=str(error))
                images += size * concurrency
                seconds = time.perf_counter() - started
                further = images + size * concurrency
                if seconds > _SECONDS or further > share or not self._affordable(size * concurrency):
                    return Rate(batch_size=size, concurrency=concurrency, images_per_second=images / seconds)


def _best(measured: list[Rate]) -> Rate | None:
    """The smallest way of asking that nothing beats by much."""
    speeds = [rate for rate in measured if rate.images_per_second]
    most = max((rate.images_per_second or 0 for rate in speeds), default=0)
    enough = [rate for rate in speeds if WORTH * (rate.images_per_second or 0) >= most]
    return min(enough, key=lambda rate: rate.batch_size * rate.concurrency, default=None)


def _last(answers: Answers) -> Answers:
    return Answers(answers.labels[-1:], None if answers.scores is None else answers.scores[-1:])


def _difference(answers: list[Answers]) -> float:
    """The largest between scores of one image; where there are none, 1 for labels that differ.

    NaN, where a class was left out, differs from every number but not from NaN.
    """
    joined = Answers.join(answers)
    if joined.scores is None:
        return float(len(set(joined.labels.tolist())) > 1)
    scores = joined.scores.nan_to_num(nan=-torch.finfo(torch.float32).max)
    return float((scores.amax(0) - scores.amin(0)).max())
