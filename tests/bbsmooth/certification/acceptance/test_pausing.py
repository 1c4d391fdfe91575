"""Images next to the radius are set aside: never at a risk, and looked at again where the answer needs them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from bbsmooth.certification.acceptance import pausing
from bbsmooth.certification.acceptance.claims import Acceptance, AcceptancePlan, Answer, Side
from bbsmooth.certification.acceptance.forecast import _run
from bbsmooth.certification.acceptance.images import ImageTest, reference
from bbsmooth.certification.acceptance.pausing import LAST, PRICES, Region, region
from bbsmooth.certification.acceptance.turns import Turns
from bbsmooth.certification.methods.decisions import RadiusTests
from bbsmooth.certification.verdict import State
from bbsmooth.noise import Gaussian
from tests.bbsmooth.certification.acceptance.engine import run
from tests.bbsmooth.certification.acceptance.test_claims import halfspace

RUNS, RISK = 10_000, 0.05
ALMOST_NEVER = 1e-6
TEST = ImageTest(noise=Gaussian(0.5), radii=(0.25,), image_alpha=0.1, image_beta=0.05, max_estimation=120)


def plan(size: int, *, at_least: float = 0.8, test: ImageTest = TEST) -> AcceptancePlan:
    return AcceptancePlan(
        test=test, at_least=at_least, alpha_total=RISK, beta=RISK, sizes={"": size}, finite=True, max_images=size
    )


def regions(test: ImageTest = TEST) -> list[Region | None]:
    return [region(test, level, 0.0, good=0.9) for level in range(LAST + 1)]


def test_the_region_solves_the_stopping_problem() -> None:
    """Against the definition, by recursion: set aside exactly where going on costs more than it is worth."""
    test = ImageTest(noise=Gaussian(0.5), radii=(0.25,), image_alpha=0.15, image_beta=0.1, max_estimation=25)
    found, price = region(test, 0, 0.0, good=0.9), PRICES[0]
    assert found is not None
    rates, weights = reference(test.needed()[0], 0.9)
    upper, lower = found.bounds.upper[0], found.bounds.lower[0]

    def value(draws: int, hits: int) -> float:
        if hits >= upper[draws]:
            return 1.0
        if hits <= lower[draws]:
            return pausing._REFUTED
        return max(0.0, worth(draws, hits))

    def worth(draws: int, hits: int) -> float:
        if draws == 25:
            return 0.0
        odds = weights * rates**hits * (1 - rates) ** (draws - hits)
        chance = float(odds @ rates / odds.sum())
        return chance * memo(draws + 1, hits + 1) + (1 - chance) * memo(draws + 1, hits) - price

    known: dict[tuple[int, int], float] = {}

    def memo(draws: int, hits: int) -> float:
        if (draws, hits) not in known:
            known[draws, hits] = value(draws, hits)
        return known[draws, hits]

    for draws in range(1, 26):
        for hits in range(draws + 1):
            if lower[draws] < hits < upper[draws]:
                aside = bool(found.low[0, draws] <= hits <= found.high[0, draws])
                assert aside is (worth(draws, hits) <= 0), (draws, hits)


def test_nothing_is_set_aside_at_the_last_level_and_less_at_each() -> None:
    *some, last = regions()
    assert last is None
    sizes = [int((each.high[0] - each.low[0] + 1).clip(min=0)[:100].sum()) for each in some if each is not None]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1] > 0


def test_the_earliest_pause_is_never_missed() -> None:
    first = regions()[0]
    assert first is not None
    generator = np.random.default_rng(0)
    for _ in range(300):
        counts = (generator.random(120) < 0.75).cumsum()
        place = first.first(0, counts)
        if place is None:
            continue
        for draws in range(0, place + 1, 5):
            successes = int(counts[draws - 1]) if draws else 0
            assert draws + first.earliest(draws, successes, 120 - draws) <= place + 1


@pytest.mark.slow
def test_ten_thousand_runs_at_the_null_with_bad_images_at_the_radius() -> None:
    """As many images are good as just do not make the claim true; the others lie exactly at the radius."""
    size, found = 30, plan(30)
    good = found.null("", Side.SHOWN, 0.0).base
    generator, bounds = np.random.default_rng(0), TEST.boundaries(0.0)
    needed, levels = TEST.needed()[0], regions()
    pool = [
        [_run(RadiusTests(bounds), hits, each) for each in levels]
        for hits in generator.random((4_000, bounds.cap)) < needed
    ]
    certified, leaks = [(State.CERTIFIED,)] * (LAST + 1), TEST.leaks(0.0)
    false = again = 0
    for _ in range(RUNS):
        acceptance = Acceptance(found, leaks)
        counts = acceptance.groups[""]
        is_good = generator.permutation(np.arange(size) < good).tolist()
        runs = generator.integers(len(pool), size=size).tolist()
        while (place := counts.turns.next) is not None and counts.open:
            level, end = counts.turns.level, None if is_good[place] else pool[runs[place]]
            if end is None:
                acceptance.see("", certified[level])
            else:
                acceptance.see("", end[level].states, aside=end[level].aside)
        false += acceptance.answer is Answer.SHOWN
        again += counts.turns.taken > counts.images
    assert again > RUNS / 10  # images are looked at again, which must cost no risk
    assert 0 < false <= binom.isf(ALMOST_NEVER, RUNS, RISK)


def test_turns_go_deeper_where_no_image_is_left() -> None:
    turns = Turns(cap=3)
    for aside in (True, False, True):
        turns.take(aside=aside)
        turns.go_on(deeper=False)
    assert (turns.level, list(turns.again), turns.next) == (1, [0, 2], 0)
    assert turns.take(aside=True) == (0, False)
    assert turns.take(aside=False) == (2, False)
    turns.go_on(deeper=False)
    assert (turns.level, turns.next, turns.looked, turns.taken) == (2, 0, 3, 5)
    turns.take(aside=False)
    turns.go_on(deeper=False)
    assert turns.next is None
    with pytest.raises(ValueError, match="no image is left"):
        turns.take(aside=False)


def test_images_set_aside_are_looked_at_again_where_the_answer_needs_them(tmp_path: Path) -> None:
    """A third of the images lie just beyond the radius: the claim is about them, and each costs many draws."""
    oracle, images = halfspace([134] * 12 + [250] * 24, margin=0.1)
    test = ImageTest(noise=Gaussian(0.5), radii=(0.1,), image_alpha=0.1, image_beta=0.05, max_estimation=600)
    asked = plan(36, at_least=0.85, test=test)
    expected, queries = run(tmp_path / "a", images, oracle, asked, 1, batch_size=1)
    turns = expected.groups[""].turns
    assert turns.taken > turns.looked == 36
    assert turns.level > 0
    for ways in ({"batch_size": 500}, {"batch_size": 16, "concurrency": 4}):
        again, _ = run(tmp_path / str(ways["batch_size"]), images, oracle, asked, 1, **ways)
        assert again.groups == expected.groups
    sure, few = run(tmp_path / "b", images, oracle, plan(36, at_least=0.5, test=test), 1, batch_size=1)
    assert sure.answer is Answer.SHOWN
    assert few < queries / 2
