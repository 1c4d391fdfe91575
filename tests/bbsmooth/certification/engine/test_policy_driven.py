"""Many images, one budget: who gets it, and that nothing else changes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import TypeVar

import pytest
from torch import Tensor

from bbsmooth.certification import (
    POLICIES,
    CertifyingCase,
    Draws,
    InOrder,
    Outcome,
    PolicyDriven,
    SequentialPlan,
    VoteSource,
    run_cases,
)
from bbsmooth.certification.engine.loop import Arrange
from bbsmooth.certification.engine.scheduler import recorded_first
from bbsmooth.certification.sequences import DEFAULT_TEST
from bbsmooth.noise import Gaussian
from oracles import Budget, BudgetExhausted, Ledger, OracleUnavailable, Purpose, ResponseStore
from tests.builders import WatchedOracle, halfspace, pictures, vote_source

PLAN = SequentialPlan(
    noise=Gaussian(0.5),
    num_selection=20,
    max_estimation=1_000,
    alpha=0.001,
    beta=0.001,
    radii=(0.25,),
    test=DEFAULT_TEST,
)
IMAGES = pictures(40, seed=21)
T = TypeVar("T")


def arrange(policy: str, *, window: int = 4_096) -> Arrange[CertifyingCase]:
    if policy == "in-turn":
        return InOrder
    return lambda images, budget: PolicyDriven(
        images,
        budget,
        POLICIES[policy],
        num_selection=PLAN.num_selection,
        max_estimation=PLAN.max_estimation,
        window=window,
    )


def decided(
    images: Tensor,
    source: VoteSource,
    policy: str = "cheapest",
    *,
    ledger: Ledger | None = None,
    batch_size: int = 32,
    concurrency: int = 1,
    window: int = 4_096,
) -> Iterator[tuple[int, Outcome]]:
    finished = run_cases(
        enumerate(images),
        lambda image: CertifyingCase(image, PLAN, source, source.log.spec.classes),
        source,
        batch_size=batch_size,
        concurrency=concurrency,
        remaining=lambda: None if ledger is None else ledger.remaining,
        arrange=arrange(policy, window=window),
    )
    for index, case, _ in finished:
        yield index, case.outcome()


def ending(results: Iterator[T], into: list[T]) -> BudgetExhausted | None:
    """Keep what comes before the budget ends, and how that is told; None where it does not end."""
    try:
        for each in results:
            into.append(each)  # `extend` might lose some
    except BudgetExhausted as stop:
        return stop
    return None


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Outcome]:
    store = ResponseStore(tmp_path_factory.mktemp("undisturbed"))
    return dict(decided(IMAGES, vote_source(halfspace(), store), "in-turn"))


@pytest.fixture
def stores(tmp_path: Path) -> Callable[[], ResponseStore]:
    folders = (tmp_path / f"store{number}" for number in range(100))
    return lambda: ResponseStore(next(folders))


@pytest.mark.parametrize("policy", [*POLICIES, "in-turn"])
@pytest.mark.parametrize(("batch_size", "concurrency"), [(1, 1), (32, 8), (1_024, 2)])
def test_the_order_changes_no_outcome(
    stores: Callable[[], ResponseStore],
    undisturbed: dict[int, Outcome],
    policy: str,
    batch_size: int,
    concurrency: int,
) -> None:
    delays = Random(1)
    pause = (lambda: time.sleep(delays.random() / 2_000)) if concurrency == 8 else (lambda: None)
    images = IMAGES[:3] if batch_size == 1 else IMAGES
    oracle = WatchedOracle(halfspace(), after=pause)
    found = dict(decided(images, vote_source(oracle, stores()), policy, batch_size=batch_size, concurrency=concurrency))
    assert found == {index: outcome for index, outcome in undisturbed.items() if index < len(images)}
    assert set(oracle.answered.values()) == {1}


@pytest.mark.parametrize("policy", POLICIES)
def test_a_budget_that_binds_is_spent_to_the_last_query_and_a_larger_one_goes_on(
    stores: Callable[[], ResponseStore], undisturbed: dict[int, Outcome], policy: str
) -> None:
    store, limit, found, oracle = stores(), 0, dict[int, Outcome](), WatchedOracle(halfspace())
    spent = 0
    while len(found) < len(IMAGES):
        limit += 4_000
        ledger = Ledger(Budget(queries=limit - spent))
        source = vote_source(oracle, store, ledger=ledger)
        bought = list[tuple[int, Outcome]]()
        stop = ending(decided(IMAGES, source, policy, ledger=ledger, concurrency=3), bought)
        for index, outcome in bought:
            assert found.setdefault(index, outcome) == outcome
        assert stop is None or ("decide image" in str(stop) and ledger.remaining == 0)
        spent += ledger.total
    assert found == undisturbed
    assert set(oracle.answered.values()) == {1}


def test_cheapest_first_decides_far_more_than_its_alternatives(
    stores: Callable[[], ResponseStore], undisturbed: dict[int, Outcome]
) -> None:
    everything = sum(outcome.verdict.evidence.queries for outcome in undisturbed.values())
    counts = {}
    for policy in POLICIES:
        ledger = Ledger(Budget(queries=everything // 10))
        source = vote_source(halfspace(), stores(), ledger=ledger)
        found = list[tuple[int, Outcome]]()
        assert ending(decided(IMAGES, source, policy, ledger=ledger, batch_size=8), found)
        counts[policy] = len(found)
    assert counts["cheapest"] >= 2 * counts["uniform"]
    assert counts["cheapest"] >= 2 * counts["round-robin"]
    costs = sorted(outcome.verdict.evidence.queries for outcome in undisturbed.values())
    with_hindsight = next(count for count in range(len(costs)) if sum(costs[: count + 1]) > everything // 10)
    assert counts["cheapest"] >= 0.3 * with_hindsight


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("concurrency", [1, 4])
def test_only_the_last_batches_are_not_full(stores: Callable[[], ResponseStore], policy: str, concurrency: int) -> None:
    oracle, images = WatchedOracle(halfspace()), pictures(50, seed=22)
    dict(decided(images, vote_source(oracle, stores()), policy, batch_size=64, concurrency=concurrency))
    small = [place for place, size in enumerate(oracle.batches) if size < 0.9 * 64]
    hard = 1_000 // 64 * 8  # the doubtful images are asked about until the cap, when nothing is left to fill up with
    assert all(place >= len(oracle.batches) - hard for place in small)
    full = [size for size in oracle.batches if size == 64]
    assert len(full) >= 50 * 20 // 64


@pytest.mark.parametrize("policy", POLICIES)
def test_a_narrow_window_changes_no_outcome(
    stores: Callable[[], ResponseStore], undisturbed: dict[int, Outcome], policy: str
) -> None:
    assert dict(decided(IMAGES, vote_source(halfspace(), stores()), policy, window=3)) == undisturbed


@pytest.mark.parametrize("seed", range(5))
def test_interruptions_change_no_outcome(
    stores: Callable[[], ResponseStore], undisturbed: dict[int, Outcome], seed: int
) -> None:
    chance, store, found = Random(seed), stores(), dict[int, Outcome]()
    oracle = WatchedOracle(halfspace())

    def fail() -> None:
        if chance.random() < 0.05:
            raise OracleUnavailable("gone")

    oracle.before = fail
    while len(found) < len(IMAGES):
        try:
            for index, outcome in decided(
                IMAGES,
                vote_source(oracle, store),
                batch_size=chance.choice([16, 64, 1_024]),
                concurrency=chance.choice([1, 2, 8]),
            ):
                assert found.setdefault(index, outcome) == outcome
        except OracleUnavailable:
            continue
    assert found == undisturbed
    assert set(oracle.answered.values()) == {1}


def test_equal_images_pay_once_and_are_both_reported(stores: Callable[[], ResponseStore]) -> None:
    oracle = WatchedOracle(halfspace())
    batch = IMAGES[[0, 1, 0, 0, 1]]
    found = dict(decided(batch, vote_source(oracle, stores()), batch_size=64))
    assert sorted(found) == [0, 1, 2, 3, 4]
    assert found[0] == found[2] == found[3]
    assert found[1] == found[4]
    assert set(oracle.answered.values()) == {1}


@pytest.mark.parametrize("policy", POLICIES)
def test_images_on_record_are_reported_without_any_budget(
    stores: Callable[[], ResponseStore], undisturbed: dict[int, Outcome], policy: str
) -> None:
    store = stores()
    dict(decided(IMAGES[:4], vote_source(halfspace(), store)))
    found = list[tuple[int, Outcome]]()
    assert ending(decided(IMAGES, vote_source(halfspace(), store), policy, ledger=Ledger(Budget(queries=0))), found)
    assert dict(found) == {index: undisturbed[index] for index in range(4)}


def test_repeated_calls_that_cost_more_are_seen_in_time(stores: Callable[[], ResponseStore]) -> None:
    """With a wrapper that asks twice for every answer: images that can no longer be paid for are not begun."""
    ledger, plan = Ledger(Budget(queries=2_000)), replace(PLAN, max_estimation=200)
    oracle = halfspace()
    source = vote_source(WatchedOracle(oracle, before=partial(_repeat, ledger)), stores(), ledger=ledger)
    done = list[tuple[int, CertifyingCase, float]]()
    finished = run_cases(
        enumerate(IMAGES),
        lambda image: CertifyingCase(image, plan, source, source.log.spec.classes),
        source,
        batch_size=16,
        concurrency=1,
        remaining=lambda: ledger.remaining,
    )
    assert ending(finished, done)
    assert ledger.total <= 2_000
    assert done
    begun = [image for image in IMAGES if (source.log.read(source.stream(image, Purpose.SELECT), 0, 20) >= 0).any()]
    assert len(begun) - len(done) <= 4


def _repeat(ledger: Ledger) -> None:
    remaining = ledger.remaining
    if remaining is not None and remaining >= 16:
        ledger.charge(16, purpose=Purpose.ESTIMATE)


def test_a_budget_decides_about_the_same_images_whatever_the_size_of_a_batch(
    stores: Callable[[], ResponseStore], undisturbed: dict[int, Outcome]
) -> None:
    """Image 0 is one of those that take longest: it holds back no other."""
    dearest = max(undisturbed, key=lambda index: undisturbed[index].verdict.evidence.queries)
    images, found = (
        IMAGES[[dearest, *(index for index in undisturbed if index != dearest)]],
        dict[tuple[int, int], int](),
    )
    for batch_size, concurrency in ((1, 1), (1, 8), (8, 1), (256, 1)):
        ledger, bought = Ledger(Budget(queries=3_500)), list[tuple[int, Outcome]]()
        source = vote_source(halfspace(), stores(), ledger=ledger)
        stop = ending(decided(images, source, ledger=ledger, batch_size=batch_size, concurrency=concurrency), bought)
        assert stop is not None
        found[batch_size, concurrency] = len(bought)
    assert min(found.values()) >= max(1, 0.9 * max(found.values())), found


def test_what_is_on_record_chooses_whom_to_begin(
    stores: Callable[[], ResponseStore], undisturbed: dict[int, Outcome]
) -> None:
    """Selection votes of a pilot cost nothing: its clear images are decided first, with one image a call."""
    costs = {index: undisturbed[index].verdict.evidence.queries for index in undisturbed}
    store, pilot = stores(), sorted(sorted(costs, key=lambda index: costs[index])[:5])
    free = vote_source(halfspace(), store)
    for index in pilot:
        draws = Draws(IMAGES[index], free.stream(IMAGES[index], Purpose.SELECT), 0, PLAN.num_selection)
        free.votes([draws], Purpose.SELECT)
    ordered = recorded_first(
        range(len(IMAGES)),
        IMAGES.__getitem__,
        lambda image: free.recorded(image, Purpose.SELECT, PLAN.num_selection),
    )
    waiting = list(ordered)
    assert [index for index, _ in waiting] == pilot + [index for index in range(len(IMAGES)) if index not in pilot]
    ledger = Ledger(Budget(queries=60))
    source = vote_source(halfspace(), store, ledger=ledger)
    finished = run_cases(
        waiting,
        lambda image: CertifyingCase(image, PLAN, source, source.log.spec.classes),
        source,
        batch_size=1,
        concurrency=1,
        remaining=lambda: ledger.remaining,
        arrange=arrange("cheapest"),
    )
    done = list[tuple[int, CertifyingCase, float]]()
    assert ending(finished, done)
    assert {index for index, _, _ in done} <= set(pilot)
    assert done
    assert ledger.spent.get(Purpose.SELECT, 0) == 0
