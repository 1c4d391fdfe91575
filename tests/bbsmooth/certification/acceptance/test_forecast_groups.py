"""Forecasts of claims about groups: alike or not, intervals and chances cover what the real engine then does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import binom

from bbsmooth.certification.acceptance import forecast
from bbsmooth.certification.acceptance.claims import AcceptancePlan, Answer
from bbsmooth.certification.acceptance.forecast import (
    AcceptanceExpectation,
    ImageTrials,
    LabelPilot,
    forecast_acceptance,
)
from bbsmooth.certification.acceptance.grouping import kinds_of_cells, shares_by_group
from bbsmooth.certification.acceptance.images import ImageTest
from bbsmooth.certification.forecast import CONFIDENCE
from bbsmooth.certification.methods.pilot import Pilot
from bbsmooth.certification.population import CELLS, Floats
from bbsmooth.noise import Gaussian
from oracles import HalfspaceOracle
from tests.bbsmooth.certification.acceptance.engine import run_groups

TEST = ImageTest(noise=Gaussian(0.5), radii=(0.25,), image_alpha=0.1, image_beta=0.05, max_estimation=300)
NAMES, SIZE, PILOT, DRAWS = "abcd", 80, 60, 20
PLAN = AcceptancePlan(
    test=TEST,
    at_least=0.7,
    alpha_total=0.05,
    beta=0.05,
    sizes=dict.fromkeys(NAMES, SIZE),
    finite=True,
    max_images=SIZE,
)
ALMOST_NEVER = 1e-4  # of a right program failing here
ORACLE = HalfspaceOracle(torch.ones(1, 4, 4), 16 * 128 / 255)


@dataclass(frozen=True)
class Case:
    """Images of all groups at known distances from the plane, in standard deviations of the noise."""

    images: torch.Tensor
    groups: NDArray[np.int64]

    @classmethod
    def of(cls, good: Mapping[str, float], generator: np.random.Generator) -> Case:
        """Each group with its share of images beyond the radius; a tenth of the images next to it."""
        number = len(good) * SIZE
        groups = np.repeat(np.arange(len(good)), SIZE)
        beyond = generator.random(number) < np.array(list(good.values()))[groups]
        away = 0.5 + np.where(beyond, 1, -1) * generator.gamma(2.0, 0.6, number)
        greys = (128 + away * 2 * 255 / 16).round().clip(0, 255).astype(np.uint8)
        return cls(torch.from_numpy(greys)[:, None, None, None].expand(-1, 1, 4, 4).contiguous(), groups)

    @property
    def rates(self) -> Floats:
        """Probability that noise leaves each image on the bright side."""
        away = (self.images[:, 0, 0, 0].numpy().astype(float) - 128) * 16 / 255 / 2
        return np.array(ndtr(away))

    def foretold(
        self, plan: AcceptancePlan, trials: ImageTrials, generator: np.random.Generator
    ) -> AcceptanceExpectation:
        places = np.sort(generator.permutation(len(self.groups))[:PILOT])
        seen = LabelPilot(
            pilot=Pilot(votes=tuple(generator.binomial(DRAWS, self.rates[places]).tolist()), draws=DRAWS),
            places=places.tolist(),
            silent=(),
            kinds=np.arange(len(self.groups)),
            groups=self.groups,
        )
        return forecast_acceptance(plan, seen, trials, total_variation=0.0, seed=0)

    def happened(self, plan: AcceptancePlan, seed: int) -> tuple[int, Answer, dict[str, Answer]]:
        names = list(plan.sizes)
        groups = [names[each] for each in self.groups]
        acceptance, queries = run_groups(None, self.images, groups, ORACLE, plan, seed)
        return queries, acceptance.answer, {group: each.answers[0] for group, each in acceptance.groups.items()}


@pytest.fixture(scope="module")
def trials() -> ImageTrials:
    return ImageTrials.of(PLAN, total_variation=0.0, generator=np.random.default_rng(0))


def test_groups_that_are_unlike_are_foretold_so(trials: ImageTrials, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "REPLICATES", 40)
    generator = np.random.default_rng(0)
    found = Case.of(dict(zip(NAMES, (1.0, 1.0, 1.0, 0.1), strict=True)), generator).foretold(PLAN, trials, generator)
    assert found.answer[Answer.REFUTED] > 0.8
    (best,), (worst,) = found.claims["a"], found.claims["d"]
    assert worst.answer[Answer.REFUTED] > 0.8
    assert worst.good.expected < 0.4 < 0.8 < best.good.expected
    assert best.answer[Answer.SHOWN] > 0.6


def test_more_groups_take_more_queries(trials: ImageTrials, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same images as one group and as four, which share the level."""
    monkeypatch.setattr(forecast, "REPLICATES", 40)
    generator = np.random.default_rng(1)
    case = Case.of(dict.fromkeys(NAMES, 1.0), generator)
    whole = replace(PLAN, sizes={"": len(NAMES) * SIZE}, max_images=len(NAMES) * SIZE)
    apart = case.foretold(PLAN, trials, generator)
    together = replace(case, groups=np.zeros_like(case.groups)).foretold(whole, trials, generator)
    assert apart.queries.expected > 2 * together.queries.expected
    assert sum(apart.answer.values()) == pytest.approx(1)


def test_shares_of_groups_agree_with_all_images_and_with_what_was_seen() -> None:
    """The mean over draws is the share of all images where nothing was seen, and moves to what was."""
    generator, kinds = np.random.default_rng(2), kinds_of_cells(TEST.needed())
    shares = np.full(CELLS, 1 / CELLS)
    good = float(shares[kinds == 1].sum())
    drawn = np.array(
        [
            shares_by_group(shares, kinds, np.array([[0, 0], [0, 40], [40, 0]]), generator)[:, kinds == 1].sum(1)
            for _ in range(2_000)
        ]
    )
    error = drawn.std(0) / len(drawn) ** 0.5
    assert abs(drawn[:, 0].mean() - good) < 4 * error[0]
    assert drawn[:, 1].mean() > 0.9
    assert drawn[:, 2].mean() < 0.1
    assert (shares_by_group(shares, kinds, np.array([[3, 4]]), generator) == shares).all()


def covered(
    cases: int, trials: ImageTrials
) -> tuple[list[bool], tuple[Counter[Answer], Counter[Answer]], tuple[Counter[Answer], Counter[Answer]]]:
    """Whether the queries lay in the interval; answers and their chances, to all claims together and to single ones.

    Groups with the same share of good images, with nearly the same, and with very different ones.
    """
    held, whole, single = [], (Counter[Answer](), Counter[Answer]()), (Counter[Answer](), Counter[Answer]())
    for number in range(cases):
        generator = np.random.default_rng(number)
        share, alike = generator.uniform(0.5, 0.98), (1e6, 20.0, 4.0)[number % 3]
        good = {name: float(generator.beta(alike * share, alike * (1 - share))) for name in NAMES}
        case = Case.of(good, generator)
        found = case.foretold(PLAN, trials, generator)
        queries, answer, answers = case.happened(PLAN, number)
        held.append(found.queries.low <= queries <= found.queries.high)
        whole[0][answer] += 1
        whole[1].update(found.answer)
        for name in NAMES:
            single[0][answers[name]] += 1
            single[1].update(found.claims[name][0].answer)
    return held, whole, single


@pytest.mark.slow
def test_intervals_and_chances_cover_what_happens(trials: ImageTrials, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "REPLICATES", 40)
    held, whole, single = covered(18, trials)
    assert binom.cdf(sum(held), len(held), CONFIDENCE) > ALMOST_NEVER
    for answer in Answer:
        assert abs(whole[0][answer] - whole[1][answer]) < 4 * (len(held) / 4) ** 0.5
        assert abs(single[0][answer] - single[1][answer]) < 4 * (len(held) / 4) ** 0.5 * len(NAMES)  # groups are alike
    assert len(single[0]) == 3
