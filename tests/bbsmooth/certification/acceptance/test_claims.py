"""Claims: the risks hold in 10,000 simulated runs at the null, for groups and radii together, and in whole runs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import binom

from bbsmooth.certification.acceptance.case import AcceptingCase
from bbsmooth.certification.acceptance.claims import Acceptance, AcceptancePlan, Answer, Side
from bbsmooth.certification.acceptance.images import ImageTest, cheapest
from bbsmooth.certification.acceptance.order import tickets
from bbsmooth.certification.sequences import stopping
from bbsmooth.certification.verdict import State
from bbsmooth.noise import Gaussian
from bbsmooth.randomness import image_digest
from oracles import BudgetExhausted, HalfspaceOracle, ResponseStore
from tests.bbsmooth.certification.acceptance.engine import run
from tests.builders import WatchedOracle, vote_source

RUNS = 10_000
RISK = 0.05
ALMOST_NEVER = 1e-6  # of a right program failing here
TEST = ImageTest(noise=Gaussian(0.5), radii=(0.25,), image_alpha=0.1, image_beta=0.05, max_estimation=300)
STATES = (State.CERTIFIED, State.REFUTED, State.UNDECIDED)


def plan(
    sizes: dict[str, int], *, at_least: float = 0.8, finite: bool = True, test: ImageTest = TEST
) -> AcceptancePlan:
    return AcceptancePlan(
        test=test, at_least=at_least, alpha_total=RISK, beta=RISK, sizes=sizes, finite=finite, max_images=1000
    )


def chances(rate: float) -> list[float]:
    """The exact probabilities that an image of this rate is certified, refuted, or neither."""
    bounds = TEST.boundaries(0.0)
    end = stopping(rate, upper=bounds.upper[0], lower=np.minimum(bounds.lower[0], bounds.upper[0] - 1))
    certified, refuted = end.certified.sum(), end.refuted.sum()
    return [certified, refuted, max(0.0, 1 - certified - refuted)]


def outcomes(good: int, size: int, rates: tuple[float, float], generator: np.random.Generator) -> NDArray[np.int64]:
    """(RUNS, size) places in `STATES`, for good and bad images of these rates in random orders."""
    is_good = np.arange(size) < good
    order = generator.permuted(np.tile(is_good, (RUNS, 1)), axis=1)
    drawn = [generator.choice(3, (RUNS, size), p=np.array(each) / sum(each)) for each in map(chances, rates)]
    return np.where(order, drawn[0], drawn[1])


def answers(found: AcceptancePlan, seen: NDArray[np.int64]) -> NDArray[np.int64]:
    """The answer of each run: which boundary its counts reach first."""
    begun = found.begin(0.0)
    first = []
    for side, state in ((Side.SHOWN, 0), (Side.REFUTED, 1)):
        upper = found.boundary("", side, begun.leaks[0][state], 1)
        reached = np.cumsum(seen == state, axis=1) >= upper[1 : seen.shape[1] + 1]
        first.append(np.where(reached.any(1), reached.argmax(1), seen.shape[1]))
    shown, refuted = first
    return np.where(np.minimum(*first) == seen.shape[1], 2, np.where(shown <= refuted, 0, 1))


NEEDED = TEST.needed()[0]
NULLS = {
    "the worst: bad images next to the radius, good ones sure": (199, 250, (1.0, NEEDED)),
    "good images next to the radius too": (199, 250, (NEEDED + 0.05, NEEDED)),
    "bad images far away": (199, 250, (1.0, 0.1)),
    "just below": (195, 250, (1.0, NEEDED)),
    "few images": (15, 20, (1.0, NEEDED)),
}


@pytest.mark.parametrize("name", NULLS)
@pytest.mark.parametrize("stopped", [False, True])
def test_a_false_claim_is_shown_in_at_most_the_stated_share_of_runs(name: str, stopped: bool) -> None:
    good, size, rates = NULLS[name]
    generator = np.random.default_rng(len(name))
    seen = outcomes(good, size, rates, generator)
    if stopped:  # a budget that ends a run somewhere, and may be larger for runs that look well
        well = (seen[:, : size // 2] == 0).mean(1) > 0.85
        ends = np.where(well, size, generator.integers(1, size, RUNS))
        seen[np.arange(size) >= ends[:, None]] = 2
    false = (answers(plan({"": size}), seen) == 0).sum()
    assert false <= binom.isf(ALMOST_NEVER, RUNS, RISK)


def test_the_stated_risk_is_nearly_used_up_in_the_worst_case() -> None:
    """So that the tests above could fail."""
    good, size, rates = NULLS["the worst: bad images next to the radius, good ones sure"]
    false = (answers(plan({"": size}), outcomes(good, size, rates, np.random.default_rng(0))) == 0).mean()
    assert false > 0.7 * RISK


@pytest.mark.parametrize("rates", [(NEEDED, 0.0), (NEEDED, NEEDED - 0.05), (1.0, 0.0)])
def test_a_true_claim_is_refuted_in_at_most_the_stated_share_of_runs(rates: tuple[float, float]) -> None:
    seen = outcomes(200, 250, rates, np.random.default_rng(3))
    false = (answers(plan({"": 250}), seen) == 1).sum()
    assert false <= binom.isf(ALMOST_NEVER, RUNS, RISK)


def test_a_random_sample_of_an_infinite_population() -> None:
    generator = np.random.default_rng(4)
    good = generator.random((RUNS, 300)) < 0.8
    drawn = [generator.choice(3, good.shape, p=np.array(each) / sum(each)) for each in map(chances, (1.0, NEEDED))]
    false = (answers(plan({"": 300}, finite=False), np.where(good, *drawn)) == 0).sum()
    assert false <= binom.isf(ALMOST_NEVER, RUNS, RISK)


def test_images_one_by_one_give_the_answer_of_the_boundaries() -> None:
    generator = np.random.default_rng(5)
    found = plan({"": 60})
    for good in (20, 48, 58):
        seen = outcomes(good, 60, (1.0, 0.3), generator)[:40]
        for states, expected in zip(seen, answers(found, seen), strict=True):
            acceptance = found.begin(0.0)
            for state in states:
                if acceptance.wants(""):
                    acceptance.see("", [STATES[state]])
            answer = [Answer.SHOWN, Answer.REFUTED, Answer.NOT_SHOWN][expected]
            assert acceptance.answer is answer


def simulated(acceptance: Acceptance, streams: dict[str, Iterator[list[State]]]) -> Acceptance:
    """Look at images of all groups in turn until all is answered."""
    while not acceptance.answered:
        for group, stream in streams.items():
            if acceptance.wants(group):
                acceptance.see(group, next(stream))
    return acceptance


def test_groups_share_the_risk() -> None:
    """Three of four groups have one good image too few: any of them is shown in at most the stated share of runs."""
    generator, runs, size = np.random.default_rng(6), 600, 40
    found, false, true = plan({name: size for name in "abcd"}), 0, 0
    leak = found.begin(0.0).leaks[0][0]
    for _ in range(runs):
        streams = {}
        for name in "abcd":
            good = generator.permutation(np.arange(size) < (40 if name == "a" else 31))
            certified = good | (generator.random(size) < leak)
            streams[name] = iter([[State.CERTIFIED if each else State.REFUTED] for each in certified])
        groups = simulated(found.begin(0.0), streams).groups
        false += any(groups[name].answers == [Answer.SHOWN] for name in "bcd")
        true += groups["a"].answers == [Answer.SHOWN]
    assert false <= binom.isf(ALMOST_NEVER, runs, RISK)
    assert true == runs


def test_a_group_that_is_shown_leaves_its_level_to_the_others() -> None:
    found = plan({"a": 60, "b": 60})
    certified = [[State.CERTIFIED]] * 60
    both, alone = (simulated(found.begin(0.0), {"a": iter(certified), "b": iter(certified)}).groups for _ in "xy")
    single = simulated(plan({"b": 60}).begin(0.0), {"b": iter(certified)}).groups
    assert both["a"].images > single["b"].images
    assert both["b"].images <= both["a"].images
    assert alone == both


def test_radii_are_shown_from_the_smallest_and_refuted_from_the_largest() -> None:
    test = ImageTest(noise=Gaussian(0.5), radii=(0.0, 0.25, 0.5), image_alpha=0.1, image_beta=0.05, max_estimation=300)
    found = plan({"": 200}, test=test)
    states = [[State.CERTIFIED, State.UNDECIDED, State.REFUTED]] * 200
    (counts,) = simulated(found.begin(0.0), {"": iter(states)}).groups.values()
    assert counts.answers == [Answer.SHOWN, Answer.NOT_SHOWN, Answer.REFUTED]
    odd = [[State.REFUTED, State.CERTIFIED, State.CERTIFIED]] * 200  # no image can be so, but a claim must not follow
    (counts,) = simulated(found.begin(0.0), {"": iter(odd)}).groups.values()
    assert counts.answers == [Answer.NOT_SHOWN] * 3


def test_levels_are_split_where_that_costs_few_queries() -> None:
    """Next to the levels that are chosen, strict ones cost far more over a population like that of the README."""
    found = cheapest(TEST, at_least=0.8, alpha_total=0.05)
    assert 0.02 < found.image_alpha <= 0.15
    ((leak, other),) = found.leaks(0.0)
    assert 0.8 * found.image_alpha < leak <= found.image_alpha
    assert 0 < other <= found.image_beta


def halfspace(greys: list[int], *, margin: float) -> tuple[HalfspaceOracle, torch.Tensor]:
    """A plane and grey images (N, 1, 4, 4), class 1 on its bright side; the darkest one is `margin` away."""
    images = torch.tensor(greys, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 4, 4).contiguous()
    offset = 16 * min(greys) / 255 - 4 * margin
    return HalfspaceOracle(torch.ones(1, 4, 4), offset), images


def test_whole_runs_at_the_null_with_equal_images_next_to_the_radius() -> None:
    """Half of the images lie exactly at the radius, all of them equal: not good, and as hard as it gets."""
    runs, size, risk = 60, 30, 0.1
    oracle, images = halfspace([120] * 16 + [250] * 14, margin=0.25)
    test = ImageTest(noise=Gaussian(0.5), radii=(0.25,), image_alpha=0.15, image_beta=0.05, max_estimation=40)
    found = AcceptancePlan(
        test=test, at_least=0.5, alpha_total=risk, beta=risk, sizes={"": size}, finite=True, max_images=size
    )
    false = sum(run(None, images, oracle, found, seed)[0].answer is Answer.SHOWN for seed in range(runs))
    assert false <= binom.isf(ALMOST_NEVER, runs, risk)


def test_equal_images_have_draws_of_their_own(tmp_path: Path) -> None:
    """Were they shared, one lucky image would speak for all its copies."""
    _, images = halfspace([120] * 5, margin=0.25)
    order = tickets(1, [image_digest(image) for image in images], [""] * 5)
    assert sorted(ticket.occurrence for ticket in order) == [0, 1, 2, 3, 4]
    with closing(ResponseStore(tmp_path)) as store:
        source = vote_source(WatchedOracle(halfspace([120], margin=0.25)[0]), store)
        cases = [AcceptingCase(images[0], 1, TEST, source, ticket.occurrence) for ticket in order]
        assert len({case.stream for case in cases}) == 5


def test_the_answer_depends_on_no_batch_and_no_interruption(tmp_path: Path) -> None:
    greys = np.random.default_rng(7).integers(100, 256, 60).tolist()
    oracle, images = halfspace(greys, margin=-0.2)
    found = plan({"": 60}, at_least=0.6)
    expected, _ = run(tmp_path / "a", images, oracle, found, 1, batch_size=1)
    for ways in ({"batch_size": 500}, {"batch_size": 16, "concurrency": 4}):
        again, _ = run(tmp_path / str(ways["batch_size"]), images, oracle, found, 1, **ways)
        assert again.groups == expected.groups
    folder = tmp_path / "b"
    with pytest.raises(BudgetExhausted):
        run(folder, images, oracle, found, 1, budget=100)
    again, _ = run(folder, images, oracle, found, 1)
    assert again.groups == expected.groups


def test_a_sure_claim_costs_a_few_draws_an_image(tmp_path: Path) -> None:
    oracle, images = halfspace([200] * 200, margin=3.0)
    found = plan({"": 200})
    acceptance, queries = run(tmp_path, images, oracle, found, 1, batch_size=256)
    assert acceptance.answer is Answer.SHOWN
    counts = acceptance.groups[""]
    assert counts.images < 40
    assert queries < 12 * counts.images


def test_what_no_answer_could_show_is_named() -> None:
    assert plan({"a": 3, "b": 500}).out_of_reach(0.0) == ["a"]
    assert plan({"": 500}).out_of_reach(0.0) == []


@pytest.mark.parametrize(
    "wrong", [{"at_least": 1.0}, {"alpha_total": 0.0}, {"beta": 1.5}, {"max_images": 0}, {"sizes": {}}]
)
def test_what_is_no_question_is_refused(wrong: dict[str, float]) -> None:
    fine = {"at_least": 0.8, "alpha_total": 0.05, "beta": 0.05, "sizes": {"": 10}, "max_images": 10}
    with pytest.raises(ValueError, match=r"must|needs"):
        AcceptancePlan(**{"test": TEST, "finite": True} | fine | wrong)  # type: ignore[arg-type]


def test_the_refuting_side_counts_refuted_images_alone() -> None:
    """Images that are given up or refused are no evidence against a claim, and none for it."""
    acceptance = simulated(plan({"": 200}).begin(0.0), {"": iter([[State.UNDECIDED]] * 200)})
    assert acceptance.answer is Answer.NOT_SHOWN
    assert math.isclose(acceptance.groups[""].certified[0] + acceptance.groups[""].refuted[0], 0)
