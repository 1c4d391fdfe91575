"""Images at work together: full batches, fair shares, and nobody suffers from the others."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from bbsmooth.certification import Draws, VoteSource
from bbsmooth.noise import Grid, NoisyCopies
from bbsmooth.serving.smoothed.fair_batching import PURPOSE, FairBatcher, ImageRequest, Votes
from bbsmooth.serving.smoothed.fresh import FreshCases, NullStore
from oracles import (
    AnswerError,
    BudgetExhausted,
    Oracle,
    OracleChanged,
    OracleError,
    OracleUnavailable,
    Unanswered,
    VoteLog,
)
from tests.bbsmooth.serving.smoothed.running import COST, PLAN
from tests.builders import WatchedOracle, halfspace, pictures
from tests.waiting import LONG, until


class Calls:
    """Keeps the sizes of calls."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def call(self, draws: int, seconds: float) -> None:
        self.sizes.append(draws)


def cases_of(oracle: Oracle) -> FreshCases:
    copies = NoisyCopies(noise=PLAN.noise, grid=Grid(1), seed=0)
    source = VoteSource(oracles={PURPOSE: oracle}, log=VoteLog(NullStore(), oracle.spec), copies=copies)
    return FreshCases(source, copies, PLAN)


CASES = cases_of(halfspace())


def votes(draws: Sequence[Draws]) -> list[Tensor]:
    return CASES.source.votes(draws, PURPOSE)


class World:
    """A batcher at work, and images to give it."""

    def __init__(self, batcher: FairBatcher, calls: Calls) -> None:
        self.batcher = batcher
        self.calls = calls

    def submit(self, count: int, *, owner: str = "one", seed: int = 0) -> list[ImageRequest]:
        return [self.batcher.submit(CASES.open(image), owner=owner) for image in pictures(count, seed=seed)]


@contextmanager
def mixing(
    ask: Votes = votes,
    *,
    batch_size: int = 16,
    concurrency: int = 1,
    interrupt: Callable[[], None] = lambda: None,
) -> Iterator[World]:
    calls = Calls()
    batcher = FairBatcher(ask, batch_size=batch_size, concurrency=concurrency, observer=calls, interrupt=interrupt)
    with batcher.running():
        yield World(batcher, calls)


class Held:
    """Votes that wait for a sign; every call is kept."""

    def __init__(self, then: Callable[[Sequence[Draws]], list[Tensor]] = votes) -> None:
        self.go = threading.Event()
        self.input_spec: list[list[Draws]] = []
        self._then = then

    def __call__(self, draws: Sequence[Draws]) -> list[Tensor]:
        self.input_spec.append(list(draws))
        assert self.go.wait(LONG)
        return self._then(draws)


@pytest.mark.parametrize("concurrency", [1, 3])
def test_every_image_gets_its_verdict_and_pays_for_its_draws(concurrency: int) -> None:
    with mixing(concurrency=concurrency) as world:
        requests = world.submit(30)
        for request in requests:
            verdict = request.result.result(LONG).verdict
            assert sum(verdict.evidence.counts.values()) == PLAN.num_estimation
            assert world.batcher.drop(request) == COST
    assert sum(world.calls.sizes) == 30 * COST


def test_batches_are_full_while_there_are_draws() -> None:
    held = Held()
    with mixing(held) as world:
        requests = world.submit(40)
        held.go.set()
        wait([request.result for request in requests], LONG)
    sizes = world.calls.sizes
    assert sum(sizes) == 40 * COST
    assert len(sizes) <= 40 * COST / 16 + 6  # the first began before the others were there, the last have no company


def test_selection_and_estimation_share_a_call() -> None:
    held = Held()
    with mixing(held, batch_size=64) as world:
        world.submit(1)
        until(lambda: held.input_spec)
        later = world.submit(1, seed=1)
        held.go.set()
        later[0].result.result(LONG)
    assert len({draws.stream for draws in held.input_spec[1]}) == 2  # estimation of the first, selection of the second


def test_owners_get_equal_shares() -> None:
    held = Held()
    with mixing(held, batch_size=20) as world:
        requests = world.submit(1, owner="first")  # keeps the only thread busy
        until(lambda: held.input_spec)
        requests += [*world.submit(30, owner="greedy", seed=1), *world.submit(2, owner="modest", seed=2)]
        held.go.set()
        wait([request.result for request in requests], LONG)
        modest = {request.case.image.numpy().tobytes() for request in requests[-2:]}
    shared = Counter[bool]()
    for draws in held.input_spec[1]:
        shared[draws.image.numpy().tobytes() in modest] += draws.count
    assert shared[True] >= 20 // 3


@pytest.mark.parametrize(
    "error", [AnswerError("nonsense"), OracleUnavailable("gone"), Unanswered("busy"), KeyError("bug")]
)
def test_an_error_reaches_those_in_the_call(error: Exception) -> None:
    def fails(draws: Sequence[Draws]) -> list[Tensor]:
        raise error

    with mixing(fails) as world:
        (request,) = world.submit(1)
        assert request.result.exception(LONG) is error
        assert world.batcher.drop(request) == (0 if isinstance(error, Unanswered) else PLAN.num_selection)
        assert world.batcher.ended is None


def test_one_bad_image_hurts_none_of_those_beside_it() -> None:
    bad = pictures(1, seed=9)[0]

    def fails_on_it(draws: Sequence[Draws]) -> list[Tensor]:
        if any(torch.equal(each.image, bad) for each in draws):
            raise AnswerError("nonsense")
        return votes(draws)

    held = Held(fails_on_it)
    with mixing(held, batch_size=64) as world:
        first = world.submit(4, seed=1)
        request = world.batcher.submit(CASES.open(bad), owner="one")
        held.go.set()
        others = first + world.submit(4, seed=2)
        for other in others:
            assert other.result.result(LONG).verdict.evidence.num_estimation == PLAN.num_estimation
        assert isinstance(request.result.exception(LONG), AnswerError)


@pytest.mark.parametrize(
    "error", [OracleChanged("another model"), BudgetExhausted(requested=1, remaining=0, purpose="x")]
)
def test_what_cannot_end_well_ends_for_all(error: OracleError) -> None:
    def fails(draws: Sequence[Draws]) -> list[Tensor]:
        raise error

    held = Held(fails)
    with mixing(held, batch_size=2) as world:
        requests = world.submit(3)
        held.go.set()
        assert [request.result.exception(LONG) for request in requests] == [error] * 3
        assert world.batcher.ended is error
        (later,) = world.submit(1)
        assert later.result.exception(LONG) is error
    assert len(held.input_spec) == 1


def test_what_is_dropped_is_not_asked_about() -> None:
    held = Held()
    with mixing(held, batch_size=3) as world:
        (request,) = world.submit(1)
        until(lambda: held.input_spec)
        assert world.batcher.drop(request) == 3  # those under way
        held.go.set()
        (other,) = world.submit(1, seed=1)
        other.result.result(LONG)
        assert world.batcher.drop(request) == 3
    asked = Counter(draws.stream for each in held.input_spec for draws in each)
    assert sum(draws.count for each in held.input_spec for draws in each) == 3 + COST
    assert len(asked) == 3


def test_the_end_waits_for_calls_under_way_and_fails_the_rest() -> None:
    watched = WatchedOracle(halfspace())
    own = cases_of(watched)
    held = Held(lambda draws: own.source.votes(draws, PURPOSE))
    with mixing(held, interrupt=held.go.set) as world:  # called at the end, before it is waited for
        requests = world.submit(3)
        until(lambda: held.input_spec)
    assert sum(watched.batches) == sum(draws.count for draws in held.input_spec[0])
    assert all(isinstance(request.result.exception(0), OracleError) for request in requests)


def test_the_pace_tells_when_to_come_again() -> None:
    ticks = iter(range(1000))
    batcher = FairBatcher(
        votes, batch_size=7, concurrency=1, observer=Calls(), clock=lambda: float(next(ticks))
    )  # 7 a second
    with batcher.running():
        requests = [batcher.submit(CASES.open(image), owner="one") for image in pictures(20, seed=3)]
        wait([request.result for request in requests], LONG)
    assert 0 < batcher.seconds_per_image <= COST / 7 * 1.2
