import random
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bbsmooth.certification import CertifyingCase, CohenPlan, Verdict, VoteSource, run_cases
from bbsmooth.noise import Gaussian, Grid, NoisyCopies
from oracles import Budget, BudgetExhausted, Ledger, OracleUnavailable, Purpose, ResponseStore, VoteLog
from tests.builders import PLAN, ConstantOracle, WatchedOracle, halfspace, pictures, spec, verdicts, vote_source

IMAGES = pictures(12, seed=8)


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[[], ResponseStore]:
    """Stores without any record."""
    folders = (tmp_path / f"store{number}" for number in range(1_000))
    return lambda: ResponseStore(next(folders))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, Verdict]]:
    return list(verdicts(IMAGES, vote_source(halfspace(), ResponseStore(tmp_path_factory.mktemp("undisturbed")))))


def collect(found: Iterator[tuple[int, Verdict]], into: list[tuple[int, Verdict]]) -> None:
    """Keep what comes before an error."""
    for each in found:
        into.append(each)  # `extend` might lose some


@pytest.mark.parametrize("concurrency", [1, 2, 8])
@pytest.mark.parametrize("batch_size", [1, 7, 256])
def test_verdicts_do_not_depend_on_batch_size_or_concurrency(
    fresh: Callable[[], ResponseStore], undisturbed: list[tuple[int, Verdict]], batch_size: int, concurrency: int
) -> None:
    oracle = WatchedOracle(halfspace())
    source = vote_source(oracle, fresh())
    assert list(verdicts(IMAGES, source, batch_size=batch_size, concurrency=concurrency)) == undisturbed
    assert set(oracle.answered.values()) == {1}
    assert oracle.answered.total() == len(IMAGES) * PLAN.queries
    assert max(oracle.batches) <= batch_size


def test_verdicts_do_not_depend_on_which_answer_comes_first(
    fresh: Callable[[], ResponseStore], undisturbed: list[tuple[int, Verdict]]
) -> None:
    delays = random.Random(1)
    oracle = WatchedOracle(halfspace(), after=lambda: time.sleep(delays.random() / 500))
    assert list(verdicts(IMAGES, vote_source(oracle, fresh()), batch_size=5, concurrency=8)) == undisturbed


@pytest.mark.parametrize("seed", range(10))
def test_verdicts_do_not_depend_on_interruptions(
    fresh: Callable[[], ResponseStore], undisturbed: list[tuple[int, Verdict]], seed: int
) -> None:
    chance, store, found, rounds = random.Random(seed), fresh(), dict[int, Verdict](), 0
    oracle = WatchedOracle(halfspace())

    def fail() -> None:
        if chance.random() < 0.1:
            raise OracleUnavailable("gone")

    oracle.before = fail
    while len(found) < len(IMAGES):
        rounds += 1
        source = vote_source(oracle, store)
        try:
            for index, verdict in verdicts(
                IMAGES, source, batch_size=chance.choice([1, 7, 64]), concurrency=chance.choice([1, 2, 8])
            ):
                assert found.setdefault(index, verdict) == verdict
        except OracleUnavailable:
            assert rounds < 500
    assert sorted(found.items()) == undisturbed
    assert set(oracle.answered.values()) == {1}  # what was answered before an interruption was never asked again


def test_batches_under_way_at_an_error_are_still_recorded(fresh: Callable[[], ResponseStore]) -> None:
    store, turns, slow_answers = fresh(), iter(range(100)), threading.Event()

    def second_call_fails() -> None:
        if next(turns) == 1:
            threading.Timer(0.05, slow_answers.set).start()
            raise OracleUnavailable("gone")
        slow_answers.wait(5)

    oracle = WatchedOracle(halfspace(), before=second_call_fails)
    with pytest.raises(OracleUnavailable):
        list(verdicts(IMAGES, vote_source(oracle, store), batch_size=5, concurrency=4))
    recorded = 5 * len(oracle.batches)
    assert recorded > 0
    oracle.before = lambda: None
    list(verdicts(IMAGES, vote_source(oracle, store)))
    assert set(oracle.answered.values()) == {1}


def test_a_consumer_that_stops_loses_nothing(fresh: Callable[[], ResponseStore]) -> None:
    store, oracle = fresh(), WatchedOracle(halfspace())
    some = verdicts(IMAGES, vote_source(oracle, store), concurrency=3)
    next(some)
    some.close()  # type: ignore[attr-defined]  # a generator
    assert oracle.answered.total() < len(IMAGES) * PLAN.queries
    list(verdicts(IMAGES, vote_source(oracle, store)))
    assert set(oracle.answered.values()) == {1}


def test_equal_images_share_their_draws_and_pay_once(fresh: Callable[[], ResponseStore]) -> None:
    one, other = IMAGES[:2]
    oracle = WatchedOracle(halfspace())
    batch = [one, one.clone(), other, one, other]
    found = list(verdicts(batch, vote_source(oracle, fresh()), batch_size=64, concurrency=2))
    assert [index for index, _ in found] == [0, 1, 2, 3, 4]
    assert found[0][1] == found[1][1] == found[3][1]
    assert found[2][1] == found[4][1]
    assert oracle.answered.total() == 2 * PLAN.queries


@pytest.mark.parametrize("concurrency", [1, 2, 4])
@pytest.mark.parametrize(("num_selection", "num_estimation"), [(5, 23), (100, 500), (1, 64), (20, 44), (64, 1)])
def test_only_the_last_batches_are_not_full(
    fresh: Callable[[], ResponseStore], num_selection: int, num_estimation: int, concurrency: int
) -> None:
    plan = replace(PLAN, num_selection=num_selection, num_estimation=num_estimation)
    oracle = WatchedOracle(halfspace())
    images = pictures(25, seed=9)
    found = verdicts(images, vote_source(oracle, fresh()), plan=plan, batch_size=64, concurrency=concurrency)
    assert len(list(found)) == 25
    small = [place for place, size in enumerate(oracle.batches) if size < 0.9 * 64]
    # Selection and estimation end with a small batch each, and what the last selection frees may end with another.
    assert len(small) <= 3
    tail = 2 * concurrency + (64 // num_selection + 2) * plan.queries // 64
    assert all(place >= len(oracle.batches) - tail - 1 for place in small)


@pytest.mark.parametrize("affordable", [0, 27, 28, 55, 56, 100, 12 * 28 - 1])
@pytest.mark.parametrize("concurrency", [1, 4])
def test_an_image_that_cannot_be_paid_for_is_not_begun(
    fresh: Callable[[], ResponseStore], undisturbed: list[tuple[int, Verdict]], affordable: int, concurrency: int
) -> None:
    oracle, ledger = WatchedOracle(halfspace()), Ledger(Budget(queries=affordable))
    found: list[tuple[int, Verdict]] = []
    source = vote_source(oracle, fresh(), ledger=ledger)
    images = verdicts(IMAGES, source, batch_size=16, concurrency=concurrency, remaining=lambda: ledger.remaining)
    with pytest.raises(BudgetExhausted) as stop:
        collect(images, found)
    complete = affordable // PLAN.queries
    assert found == undisturbed[:complete]
    assert oracle.answered.total() == ledger.total == complete * PLAN.queries
    assert (stop.value.requested, stop.value.remaining) == (PLAN.queries, affordable - complete * PLAN.queries)
    assert f"finish image {complete}" in str(stop.value)


def test_a_budget_for_all_images_finishes_all_of_them(
    fresh: Callable[[], ResponseStore], undisturbed: list[tuple[int, Verdict]]
) -> None:
    ledger = Ledger(Budget(queries=12 * PLAN.queries))
    source = vote_source(halfspace(), fresh(), ledger=ledger)
    assert list(verdicts(IMAGES, source, remaining=lambda: ledger.remaining)) == undisturbed


@pytest.mark.parametrize("remaining", [0, -3])
def test_images_on_record_are_finished_without_any_budget(
    fresh: Callable[[], ResponseStore], undisturbed: list[tuple[int, Verdict]], remaining: int
) -> None:
    source, found = vote_source(halfspace(), fresh()), list[tuple[int, Verdict]]()
    list(verdicts(IMAGES[:4], source))
    with pytest.raises(BudgetExhausted):
        collect(verdicts(IMAGES, source, remaining=lambda: remaining), found)
    assert found == undisturbed[:4]


def test_images_are_loaded_only_when_their_turn_comes(fresh: Callable[[], ResponseStore]) -> None:
    loaded: list[int] = []

    def images() -> Iterator[Tensor]:
        for index, image in enumerate(pictures(200, seed=3)):
            loaded.append(index)
            yield image

    source = vote_source(halfspace(), fresh())
    for index, _ in verdicts(images(), source, batch_size=10, concurrency=2):
        assert len(loaded) <= index + 12


def test_results_come_in_order_with_their_progress(fresh: Callable[[], ResponseStore]) -> None:
    source, told = vote_source(halfspace(), fresh()), dict[Purpose, int]()

    def progress(purpose: Purpose, queries: int) -> None:
        told[purpose] = told.get(purpose, 0) + queries

    finished = run_cases(
        [(10 * place, image) for place, image in enumerate(IMAGES)],
        lambda image: CertifyingCase(image, PLAN, source, source.log.spec.classes),
        source,
        batch_size=11,
        concurrency=4,
        remaining=lambda: None,
        progress=progress,
    )
    assert [index for index, _, seconds in finished if seconds >= 0] == list(range(0, 120, 10))
    assert told == {Purpose.SELECT: 12 * PLAN.num_selection, Purpose.ESTIMATE: 12 * PLAN.num_estimation}


def test_no_image_is_no_work(fresh: Callable[[], ResponseStore]) -> None:
    assert list(verdicts([], vote_source(halfspace(), fresh()))) == []


def test_memory_does_not_grow_with_the_number_of_draws(fresh: Callable[[], ResponseStore]) -> None:
    image = torch.zeros(1, 32, 32, dtype=torch.uint8)
    batch, noisy_copy = 100, 32 * 32 * 4  # float32

    def peak(num_estimation: int) -> int:
        plan = CohenPlan(noise=Gaussian(0.5), num_selection=10, num_estimation=num_estimation, alpha=0.001)
        oracle = ConstantOracle(spec(2))
        source = VoteSource(
            oracles=dict.fromkeys(Purpose, oracle),
            log=VoteLog(fresh(), oracle.spec),
            copies=NoisyCopies(noise=plan.noise, grid=Grid(1), seed=1),
        )
        tracemalloc.start()  # sees numpy's arrays, and torch shares them
        list(verdicts([image], source, plan=plan, batch_size=batch, concurrency=1))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(500)
    small, large = peak(2_000), peak(20_000)
    assert small > batch * noisy_copy
    assert large - small < 18_000 * 40  # bytes to find the votes on record, not a noisy copy for each further draw
