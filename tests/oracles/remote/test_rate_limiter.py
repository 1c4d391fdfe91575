import math
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from torch import Tensor

from oracles import Answers, Budget, Ledger, MeteredOracle, OracleSpec, Purpose
from oracles.errors import AnswerError, AnswerLate, AnswerLost, NotReady, OracleError, OracleUnavailable, Unanswered
from oracles.remote.circuit_breaker import CircuitBreaker
from oracles.remote.limits import ClientLimits
from oracles.remote.rate_limiter import (
    REFUSED_FACTOR,
    SLOWER,
    SLOWER_FACTOR,
    AdaptiveLimit,
    LatencyAverage,
    RateLimitedOracle,
    RateLimiter,
    TokenBucket,
)
from tests.builders import ConstantOracle, WatchedOracle, pictures, spec
from tests.oracles.remote.clock import Clock
from tests.waiting import LONG, until


@pytest.mark.parametrize("seconds", [0.1, 0.25, 1.0, 7.0])
def test_no_window_of_time_has_more_requests_than_its_limit_whenever_they_come(seconds: float) -> None:
    bucket, chance, now, begun = TokenBucket(seconds), random.Random(1), 0.0, list[float]()
    for _ in range(2_000):
        now += chance.choice([0.0, 0.0, 0.0, chance.expovariate(1 / seconds), 20 * seconds * chance.random()])
        begun.append(now + bucket.take(now))
    for count in (1, 5, 60):
        window = count * seconds
        for first, after in zip(begun, begun[count:], strict=False):
            assert after - first >= window * (1 - 1e-9)


def test_who_waits_for_a_token_gets_it_as_soon_as_there_is_one() -> None:
    bucket = TokenBucket(0.5)
    assert [bucket.take(100.0) for _ in range(4)] == [0.0, 0.5, 1.0, 1.5]
    assert bucket.take(101.8) == pytest.approx(0.2)
    assert bucket.take(500.0) == 0.0
    assert bucket.take(500.0) == 0.5  # what was not used is not saved up


@pytest.mark.parametrize(
    ("per_second", "per_minute", "seconds"),
    [(None, None, 0.0), (4.0, None, 0.25), (None, 30.0, 2.0), (4.0, 30.0, 2.0), (0.1, 30.0, 10.0)],
)
def test_of_two_limits_the_tighter_holds(per_second: float | None, per_minute: float | None, seconds: float) -> None:
    limits = ClientLimits(requests_per_second=per_second, requests_per_minute=per_minute)
    assert limits.seconds_between_requests == pytest.approx(seconds)


def test_the_limit_doubles_in_each_round_until_it_shrinks_and_then_grows_by_one() -> None:
    limit, seen = AdaptiveLimit(1000), list[int]()
    for _ in range(5):
        seen.append(limit.limit)
        for _ in range(limit.limit):
            limit.answered()
    assert seen == [1, 2, 4, 8, 16]
    limit.shrink(0.5, begun=0, now=1)
    assert limit.limit == 16
    for expected in (17, 18, 19):
        for _ in range(limit.limit + 1):
            limit.answered()
        assert limit.limit == pytest.approx(expected, abs=1)


def test_the_limit_stays_between_one_and_the_most() -> None:
    limit = AdaptiveLimit(3)
    for _ in range(100):
        limit.answered()
    assert limit.limit == 3
    for now in range(100):
        limit.shrink(0.5, begun=now, now=now)
    assert limit.limit == 1


def test_requests_that_were_under_way_together_shrink_it_once() -> None:
    limit = AdaptiveLimit(64)
    for _ in range(200):
        limit.answered()
    for _ in range(64):
        limit.shrink(0.5, begun=10, now=11)
    assert limit.limit == 32
    limit.shrink(0.5, begun=12, now=13)
    assert limit.limit == 16


def test_aimd_settles_where_the_server_begins_to_refuse() -> None:
    """A server that takes 20 at once: the limit saws around it, and never stays far above."""
    limit, now, used = AdaptiveLimit(500), 0.0, list[int]()
    for _ in range(400):
        now += 1
        used.append(limit.limit)
        if limit.limit > 20:
            limit.shrink(REFUSED_FACTOR, begun=now - 1, now=now)
        else:
            for _ in range(limit.limit):
                limit.answered()
    settled = used[50:]
    assert max(settled) <= 22
    assert min(settled) >= 10
    assert sum(settled) / len(settled) > 14


def test_times_rise_where_they_are_twice_the_usual_ones() -> None:
    chance, tempo = random.Random(1), LatencyAverage()
    steady = [tempo.slower(0.1 * chance.uniform(0.7, 1.3)) for _ in range(500)]
    assert not any(steady)
    risen = [tempo.slower(0.5) for _ in range(20)]
    assert risen[-1]
    assert sum(risen) > 10
    later = [tempo.slower(0.5) for _ in range(500)]
    assert not any(later[-100:])  # what lasts is the new usual
    assert not any(tempo.slower(0.1) for _ in range(100))


def test_a_noise_of_milliseconds_is_no_rise() -> None:
    chance, tempo = random.Random(2), LatencyAverage()
    assert not any(tempo.slower(chance.choice([0.001, 0.001, 0.02])) for _ in range(2_000))


def test_a_first_time_is_no_rise() -> None:
    assert not LatencyAverage().slower(1e6)
    assert math.isnan(LatencyAverage().usual)


@dataclass
class Server:
    """An oracle whose answers take a time of the fake clock, or fail."""

    clock: Clock
    seconds: float = 0.1
    error: OracleError | None = None
    spec: OracleSpec = field(default_factory=lambda: spec(2, image_shape=(1, 4, 4)))

    def query(self, images: Tensor) -> Answers:
        self.clock.time += self.seconds
        if self.error is not None:
            raise self.error
        return ConstantOracle(self.spec).query(images)


def asked(paced: RateLimitedOracle, times: int, images: int = 1) -> int:
    for _ in range(times):
        with suppress(OracleError):
            paced.query(pictures(images, seed=1))
    return paced.limiter.limit.limit


@pytest.fixture
def clock() -> Clock:
    return Clock()


def paced_server(clock: Clock, most: int = 64, seconds_between: float = 0) -> tuple[RateLimitedOracle, Server]:
    server = Server(clock)
    return RateLimitedOracle(server, RateLimiter(clock.breaker(), most, seconds_between)), server


@pytest.mark.parametrize("error", [Unanswered("429"), NotReady("503"), AnswerLate("slow")], ids=repr)
def test_a_server_that_refuses_or_is_late_is_asked_less_at_once(clock: Clock, error: OracleError) -> None:
    paced, server = paced_server(clock)
    assert asked(paced, 100) == 64
    server.error = error
    assert asked(paced, 1) == 32
    assert asked(paced, 1) == 16
    assert asked(paced, 20) == 1
    server.error = None
    assert asked(paced, 10) > 1


@pytest.mark.parametrize("error", [AnswerLost("500"), AnswerError("what?"), OracleUnavailable("404")], ids=repr)
def test_other_failures_say_nothing_about_load(clock: Clock, error: OracleError) -> None:
    paced, server = paced_server(clock)
    asked(paced, 100)
    server.error = error
    assert asked(paced, 20) == 64


def test_a_server_that_becomes_slower_is_asked_less_at_once(clock: Clock) -> None:
    paced, server = paced_server(clock)
    assert asked(paced, 300) == 64
    server.seconds = 0.1 * SLOWER * 3
    assert asked(paced, 10) < 64 * SLOWER_FACTOR**3
    server.seconds = 0.1
    assert asked(paced, 5_000) == 64


def test_larger_requests_that_take_longer_are_no_rise(clock: Clock) -> None:
    paced, server = paced_server(clock)
    asked(paced, 100)
    for _ in range(50):
        server.seconds = 0.1
        asked(paced, 1, images=1)
        server.seconds = 5.0
        assert asked(paced, 1, images=50) == 64


def test_requests_begin_at_the_rate_that_is_allowed(clock: Clock) -> None:
    paced, server = paced_server(clock, seconds_between=0.5)
    server.seconds = 0.1
    began = clock.time
    asked(paced, 21)
    assert clock.time - began == pytest.approx(20 * 0.5 + 0.1)


def test_waiting_for_a_turn_is_not_charged(clock: Clock) -> None:
    ledger, spent = Ledger(Budget(queries=10)), list[int]()
    server = Server(clock)
    metered = MeteredOracle(server, ledger, Purpose.TUNE)
    paced = RateLimitedOracle(metered, RateLimiter(clock.breaker(), 1, 5.0))
    wait = clock.wait

    def watched(event: threading.Event, seconds: float) -> bool:
        spent.append(ledger.total)
        return wait(event, seconds)

    paced.limiter.breaker._wait = watched
    for _ in range(3):
        paced.query(pictures(1, seed=1))
    assert spent == [1, 2]


def test_no_more_than_the_limit_are_under_way_at_once_and_all_get_their_turn() -> None:
    under_way, most, lock = 0, 0, threading.Lock()

    def enter() -> None:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        until(lambda: most == 5 or under_way >= limiter.limit.limit)  # as many as may be come while there are others

    def leave() -> None:
        nonlocal under_way
        with lock:
            under_way -= 1

    inner = WatchedOracle(ConstantOracle(spec(2, image_shape=(1, 4, 4))), before=enter, after=leave)
    limiter = RateLimiter(CircuitBreaker(300), 5, 0)
    run_threads(lambda: [RateLimitedOracle(inner, limiter).query(pictures(1, seed=1)) for _ in range(20)], 16)
    assert len(inner.batches) == 320
    assert most == 5


def test_whoever_waits_for_a_turn_gives_up_when_the_line_ends() -> None:
    breaker, stuck, errors = CircuitBreaker(300), threading.Event(), list[str]()
    limiter = RateLimiter(breaker, 1, 0)
    inner = WatchedOracle(ConstantOracle(spec(2, image_shape=(1, 4, 4))), before=lambda: until(stuck.is_set))

    def ask() -> None:
        try:
            RateLimitedOracle(inner, limiter).query(pictures(1, seed=1))
        except OracleUnavailable as error:
            errors.append(str(error))

    def end() -> None:
        until(lambda: limiter._under_way)
        breaker.trip(OracleUnavailable("interrupted"))
        until(lambda: len(errors) == 4)
        stuck.set()

    threading.Thread(target=end).start()
    run_threads(ask, 5)
    assert errors == ["interrupted"] * 4
    assert inner.batches == [1]  # the one that was under way


def run_threads(work: Callable[[], object], count: int) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
