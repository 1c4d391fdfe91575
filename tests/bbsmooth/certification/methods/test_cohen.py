import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from scipy.stats import beta, binom, norm

from bbsmooth.certification import Abstention, Certificate, ClopperPearson, CohenPlan, conclude, select
from bbsmooth.certification.bounds.vote_bounds import Bounds
from bbsmooth.noise import Gaussian
from oracles import HalfspaceOracle, ResponseStore
from oracles.oracle import Classes
from tests.builders import PLAN, SHAPE, verdicts, vote_source

TWO = Classes.numbered(2)


@dataclass(frozen=True)
class Says:
    """A bound that is whatever a test needs."""

    value: float

    name: ClassVar[str] = "says"

    def bounds(self, selected: int, counts: Mapping[int, int], *, alpha: float, uniform: float) -> Bounds:
        return Bounds(p_lower=self.value)

    def largest(self, trials: int, *, alpha: float) -> float:
        return self.value


def test_a_certificate_holds_the_bound_the_radius_and_what_proves_them() -> None:
    plan = CohenPlan(noise=Gaussian(0.25), num_selection=100, num_estimation=100_000, alpha=0.001)
    verdict = conclude(3, Counter({3: 99_000, 1: 1_000}), plan, total_variation=1e-9)
    assert isinstance(verdict, Certificate)
    p_lower = beta.ppf(0.001, 99_000, 1_001) - 1e-9
    assert verdict.radius == pytest.approx(0.25 * norm.ppf(p_lower), rel=1e-12)
    assert (verdict.label, verdict.norm, verdict.evidence.selected) == (3, "l2", 3)
    assert verdict.evidence.counts == {1: 1_000, 3: 99_000}
    assert verdict.evidence.p_lower == pytest.approx(p_lower, rel=1e-14)
    assert verdict.evidence.queries == 100_100


@pytest.mark.parametrize("votes", range(24))
def test_a_class_is_certified_exactly_where_its_bound_lies_above_one_half(votes: int) -> None:
    verdict = conclude(1, Counter({1: votes, 0: 23 - votes}), PLAN, total_variation=0.0)
    tail = binom.sf(votes - 1, 23, 0.5)  # probability of so many votes if the class had only half of the mass
    assert isinstance(verdict, Certificate) == (tail < PLAN.alpha)


def test_a_selected_class_without_a_vote_is_an_abstention() -> None:
    verdict = conclude(2, Counter({0: 23}), PLAN, total_variation=0.0)
    assert isinstance(verdict, Abstention)
    assert verdict.evidence.p_lower == 0.0


@pytest.mark.parametrize("p_lower", [0.5, math.nextafter(0.5, 0), 0.0, -1.0, math.nan, -math.inf])
def test_whatever_is_not_above_one_half_is_an_abstention(p_lower: float) -> None:
    verdict = conclude(1, Counter({1: 23}), replace(PLAN, bound=Says(p_lower)), total_variation=0.0)
    assert isinstance(verdict, Abstention)


def test_the_distance_between_drawn_and_ideal_noise_is_taken_off_the_bound() -> None:
    counts = Counter({1: 23})
    exact = conclude(1, counts, PLAN, total_variation=0.0)
    assert conclude(1, counts, PLAN, total_variation=0.01).evidence.p_lower == exact.evidence.p_lower - 0.01
    for distance in (0.5, math.nan):
        assert isinstance(conclude(1, counts, PLAN, total_variation=distance), Abstention)


@pytest.mark.parametrize("counts", [Counter(), Counter({1: 22}), Counter({1: 24}), Counter({1: 20, 0: 4})])
def test_lost_or_surplus_votes_are_refused(counts: Counter[int]) -> None:
    with pytest.raises(ValueError, match=f"a certificate needs 23 votes, got {counts.total()}"):
        conclude(1, counts, PLAN, total_variation=0.0)


def test_the_class_with_most_votes_is_selected() -> None:
    assert select({0: 3, 2: 4, 1: 1}, Classes.numbered(3)) == 2


def test_of_equal_votes_the_lowest_number_wins_in_a_closed_set() -> None:
    classes = Classes(["zebra", "ape", "cat"])
    for order in permutations([(0, 4), (1, 2), (2, 4)]):
        assert select(dict(order), classes) == 0


def test_of_equal_votes_the_first_name_wins_in_an_open_set_whatever_arrived_first() -> None:
    for order in permutations(["zebra", "ape", "cat"]):
        classes = Classes(open_set=True)
        numbers = {name: classes.number(name) for name in order}
        votes = {numbers["zebra"]: 4, numbers["ape"]: 2, numbers["cat"]: 4}
        for arrival in permutations(votes.items()):
            assert classes.name(select(dict(arrival), classes)) == "cat"


@pytest.mark.parametrize(
    "change",
    [{"num_selection": 0}, {"num_estimation": 0}, {"alpha": 0.0}, {"alpha": 1.0}, {"alpha": -1.0}, {"alpha": math.nan}],
)
def test_plans_under_which_nothing_can_be_certified_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        replace(PLAN, **change)


@pytest.mark.parametrize(("bits", "seed"), [(8, 1), (8, 2)])
def test_at_most_a_share_alpha_of_certificates_exceeds_the_true_distance(tmp_path: Path, bits: int, seed: int) -> None:
    """2,000 images at one distance from a plane, so that the whole distribution of radii is known.

    Fails with probability below 0.001 where the code is right; the seeds are fixed.
    """
    sigma, alpha, shift, images = 0.25, 0.05, 0.25, 2_000
    plan = CohenPlan(noise=Gaussian(sigma), num_selection=20, num_estimation=200, alpha=alpha)
    offsets = torch.randint(-90, 91, (images, 8), generator=torch.Generator().manual_seed(seed))
    pixels = torch.cat([128 + offsets, 128 - offsets], 1)  # all on one plane parallel to the oracle's
    assert len(set(map(tuple, pixels.tolist()))) == images
    oracle = HalfspaceOracle(torch.ones(SHAPE), 16 * 128 / 255 - 4 * shift)
    batch = pixels.to(torch.uint8).reshape(-1, *SHAPE)
    truth = oracle.distance(batch[:1]).item()
    assert truth == pytest.approx(shift, rel=1e-12)

    store = ResponseStore(tmp_path / "responses")
    source = vote_source(oracle, store, noise=plan.noise, bits=bits, seed=seed)
    found = [verdict for _, verdict in verdicts(batch, source, plan=plan, batch_size=2_000)]
    radii = np.array([verdict.radius if isinstance(verdict, Certificate) else 0.0 for verdict in found])

    assert {verdict.label for verdict in found if isinstance(verdict, Certificate)} == {1}
    exceeding = int((radii > truth).sum())
    assert exceeding <= binom.ppf(0.999, images, alpha)

    probability = norm.cdf(shift / sigma)
    votes = np.arange(201)
    bounds = np.array([ClopperPearson().lower(int(count), 200, alpha=alpha) for count in votes])
    possible = np.where(bounds > 0.5, sigma * norm.ppf(np.clip(bounds, 1e-9, 1 - 1e-9)), 0)
    chance = binom.pmf(votes, 200, probability)
    mean, spread = (chance * possible).sum(), math.sqrt((chance * possible**2).sum() - (chance * possible).sum() ** 2)
    assert abs(radii.mean() - mean) < 4 * spread / math.sqrt(images)
    expected = (chance * (possible > truth)).sum()
    assert expected > 0.01  # the test can see violations
    assert abs(exceeding - images * expected) < 4 * math.sqrt(images * expected)


def test_no_image_of_8_bits_gets_a_certificate_beyond_its_distance_more_often_than_alpha(tmp_path: Path) -> None:
    """The 8-bit oracle sees clipped integers; at a plane far from black and white clipping changes no side."""
    sigma, alpha, images = 0.1, 0.05, 500
    plan = CohenPlan(noise=Gaussian(sigma), num_selection=20, num_estimation=200, alpha=alpha)
    normal = torch.zeros(SHAPE)
    normal[0, 0, 0] = 1.0
    oracle = HalfspaceOracle(normal, 127.5 / 255)
    batch = torch.randint(0, 256, (images, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(5))
    batch[:, 0, 0, 0] = 150
    truth = oracle.distance(batch[:1]).item()
    store = ResponseStore(tmp_path / "responses")
    source = vote_source(oracle, store, noise=plan.noise, bits=0, seed=3)
    found = [verdict for _, verdict in verdicts(batch, source, plan=plan, batch_size=2_000)]
    exceeding = sum(isinstance(verdict, Certificate) and verdict.radius > truth for verdict in found)
    assert 0 < exceeding <= binom.ppf(0.999, images, alpha)
