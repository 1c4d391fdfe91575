import json
import math
import random
import threading
from typing import Any

import pytest

from oracles.traffic import PERCENTILES, Traffic


def test_percentiles_are_right_within_a_bin() -> None:
    traffic, chance = Traffic(), random.Random(1)
    times = [chance.lognormvariate(-3, 1.5) for _ in range(10_000)]
    for seconds in times:
        traffic.exchanged(10, 20, seconds)
    times.sort()
    for percent in PERCENTILES:
        truth = times[math.ceil(len(times) * percent / 100) - 1]
        assert traffic.percentile(percent) == pytest.approx(truth, rel=0.045)
    assert (traffic.sent, traffic.received) == (100_000, 200_000)


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 1e-5, 0.5, 1.0, 2.0, 1e5, 1e12])
def test_one_reply_is_every_percentile(seconds: float) -> None:
    traffic = Traffic()
    assert traffic.percentile(50) is None
    traffic.exchanged(0, 0, seconds)
    for percent in (1, *PERCENTILES, 100):
        assert traffic.percentile(percent) == pytest.approx(min(max(seconds, 1e-5), 1e5), rel=0.05)


def test_what_got_no_reply_has_no_time() -> None:
    traffic = Traffic()
    traffic.exchanged(5, 0, None)
    assert traffic.as_json()["latency"] == {}
    assert traffic.as_json()["bytes"] == 5


def test_what_was_written_down_goes_on_where_it_was() -> None:
    chance, whole, first = random.Random(2), Traffic(), Traffic()
    for number in range(2_000):
        if number == 700:
            first = Traffic.from_json(json.loads(json.dumps(first.as_json())))
        for traffic in (whole, first):
            state = chance.getstate()
            traffic.exchanged(number, 2 * number, chance.expovariate(1) ** 4)
            if number % 3 == 0:
                traffic.retried()
            if traffic is whole:
                chance.setstate(state)
    assert first.as_json() == whole.as_json()


def test_memory_stays_the_same_whatever_comes() -> None:
    traffic, chance = Traffic(), random.Random(3)
    for _ in range(20_000):
        traffic.exchanged(1, 1, 10 ** chance.uniform(-12, 12))
    assert len(traffic.as_json()["latency_bins"]) < 280


def test_threads_are_counted_exactly() -> None:
    traffic = Traffic()

    def work() -> None:
        for _ in range(2_000):
            traffic.exchanged(1, 2, 0.1)
            traffic.retried()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (traffic.sent, traffic.received, traffic.retries) == (16_000, 32_000, 16_000)
    assert sum(traffic.as_json()["latency_bins"].values()) == 16_000


@pytest.mark.parametrize(
    "state", [{"retries": -1}, {"bytes_sent": 1.5}, {"latency_bins": {"x": 1}}, {"latency_bins": 3}, {"retries": "1"}]
)
def test_what_is_no_count_is_not_taken_for_one(state: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError, AttributeError)):
        Traffic.from_json(state)


def test_counts_of_another_process_are_added_once() -> None:
    here, there = Traffic(), Traffic()
    for traffic, seconds in ((here, 0.1), (there, 0.2), (there, 0.4)):
        traffic.exchanged(10, 20, seconds)
    there.retried()
    for _ in range(2):  # the second time there is nothing left
        here.add(json.loads(json.dumps(there.taken())))
    assert (here.retries, here.sent, here.received) == (1, 30, 60)
    assert here.percentile(50) == pytest.approx(0.2, rel=0.05)
    assert here.percentile(100) == pytest.approx(0.4, rel=0.05)
    assert there.as_json()["bytes"] == 0
