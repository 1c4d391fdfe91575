"""Who is let in, and when the others may come again."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from bbsmooth.serving.refusal import Refusal
from bbsmooth.serving.smoothed.admission import AdmissionControl
from bbsmooth.serving.smoothed.clients import Client

ALICE, BOB = (Client(name=name, budget=None, rate=2.0) for name in ("alice", "bob"))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def passes(admission: AdmissionControl, client: Client) -> int | None:
    """Seconds to wait, None if let in."""
    try:
        admission.check_rate(client)
    except Refusal as refusal:
        return refusal.retry_after if refusal.status == 429 else -refusal.status
    return None


def test_a_client_keeps_its_pace() -> None:
    clock = Clock()
    admission = AdmissionControl(8, 2, lambda: 0.0, clock)
    assert [passes(admission, ALICE) for _ in range(3)] == [None, None, 1]  # two at once, then 2 a second
    assert passes(admission, BOB) is None
    clock.now += 0.5
    assert [passes(admission, ALICE) for _ in range(2)] == [None, 1]
    clock.now += 1000
    assert [passes(admission, ALICE) for _ in range(3)] == [None, None, 1]


def test_a_slow_pace_says_how_long_to_wait() -> None:
    clock = Clock()
    admission, slow = AdmissionControl(8, 1, lambda: 0.0, clock), Client(name="slow", budget=None, rate=0.1)
    assert [passes(admission, slow) for _ in range(2)] == [None, 10]
    clock.now += 10
    assert passes(admission, slow) is None


def test_over_any_time_no_more_than_the_pace() -> None:
    clock = Clock()
    admission = AdmissionControl(8, 1, lambda: 0.0, clock)
    let_in = 0
    for _ in range(1000):
        clock.now += 0.05
        let_in += passes(admission, ALICE) is None
    assert 100 <= let_in <= 102


def test_places_are_held_and_given_back() -> None:
    admission = AdmissionControl(4, 1, lambda: 2.3)
    with admission.admitted(ALICE) as hold:
        hold(4)
        assert admission.held == 4
        with pytest.raises(Refusal) as full, admission.admitted(ALICE):
            pass
        assert (full.value.status, full.value.retry_after) == (429, 3)
        with pytest.raises(Refusal):
            hold(5)
        assert admission.held == 4
    assert admission.held == 0


def test_one_of_several_clients_leaves_room_for_others() -> None:
    admission = AdmissionControl(4, 2, lambda: 0.0)
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(admission.admitted(ALICE))
        with pytest.raises(Refusal), admission.admitted(ALICE):
            pass
        for _ in range(2):
            stack.enter_context(admission.admitted(BOB))
        assert admission.held == 4
    assert (admission.held, admission.max_images) == (0, 2)
