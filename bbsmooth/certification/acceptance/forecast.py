"""Forecasts, from a pilot, of what an acceptance test will cost and answer.

The rates of all images are drawn from their posterior (`population`), for the images of the pilot given their votes for
their own labels; equal images have equal rates. They come in a random order, what befalls each is drawn from simulated
runs of its test at its rate, and the claims themselves look at them until they are answered. So intervals and chances
cover what the pilot, the images, their order and their draws leave to chance. A budget ends the test, where there is
one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from bbsmooth.certification.acceptance.claims import AHEAD, Acceptance, AcceptancePlan, Answer
from bbsmooth.certification.acceptance.pausing import LAST, Region
from bbsmooth.certification.forecast import Interval
from bbsmooth.certification.methods.decisions import RadiusTests
from bbsmooth.certification.methods.pilot import Pilot
from bbsmooth.certification.population import CELLS, EDGES, MIDDLES, Population, Rates, position
from bbsmooth.certification.verdict import State

REPLICATES = 300
"""Acceptance tests that are simulated, each with another draw of what the rates may be."""

_TRIALS, _FAR_TRIALS = 24, 6  # runs of the test of one image in each cell next to the rate of a radius, and in others
_CLOSE = 0.5  # next to it
_GROUP = ""
_CHECKED = 8  # images after which it is asked again whether an answer can still be reached, which takes long to compute


@dataclass(frozen=True, slots=True)
class ImageTrials:
    """Simulated runs of the test of one image.

    Attributes:
        starts: (`CELLS` + 1,) place of the first run of each cell; one more, beyond the last, is of a silent image.
        queries: (levels, runs) that each has asked when it is set aside or ends, by level of pausing.
        states: of the radii then, by level and run.
        aside: by level and run, whether it is set aside.
        first: queries that every image is asked at once.
    """

    starts: NDArray[np.int64]
    queries: NDArray[np.int64]
    states: tuple[tuple[tuple[State, ...], ...], ...]
    aside: NDArray[np.bool_]
    first: int

    @classmethod
    def of(cls, plan: AcceptancePlan, *, total_variation: float, generator: np.random.Generator) -> ImageTrials:
        """Run the test at rates from all cells.

        Args:
            plan: whose test.
            total_variation: distance between drawn and ideal noise of one image.
            generator: of the votes.
        """
        test = plan.test
        bounds = test.boundaries(total_variation)
        nearest = np.abs(MIDDLES[:, None] - [position(needed) for needed in test.needed()]).min(1)
        number = np.where(nearest < _CLOSE, _TRIALS, _FAR_TRIALS)
        cells = np.repeat(np.arange(CELLS), number)
        rates = ndtr(EDGES[cells] + (EDGES[1] - EDGES[0]) * generator.random(len(cells)))
        first = RadiusTests(bounds).ahead(0, 0)
        regions = [plan.region(level, total_variation) for level in range(LAST + 1)]
        silent = _Run(first, (State.UNDECIDED,) * len(test.radii), aside=False)
        runs: list[list[_Run]] = [[] for _ in regions]
        for rate in rates:
            hits = generator.random(bounds.cap) < rate
            found = _Run(0, (), aside=True)
            for level, region in enumerate(regions):
                if found.aside:  # else it is the same at every further level
                    found = _run(RadiusTests(bounds), hits, region)
                runs[level].append(found)
        for each in runs:
            each.append(silent)
        return cls(
            np.append(0, number.cumsum()),
            np.array([[run.queries for run in each] for each in runs]),
            tuple(tuple(run.states for run in each) for each in runs),
            np.array([[run.aside for run in each] for each in runs]),
            first,
        )

    def drawn(self, cells: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
        """A run (k,) by chance for each image, from its cell; `CELLS` is that of images that do not answer."""
        ends = np.append(self.starts[1:], self.queries.shape[1])
        found: NDArray[np.int64] = generator.integers(self.starts[cells], ends[cells])
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptanceExpectation:
    """Expectations of an acceptance test.

    Attributes:
        queries: until the answer, the largest number of images, or the budget.
        images: looked at.
        good: for each radius the share of the images that are right and robust there.
        answer: how likely each answer to all claims together is.
        answers: the same for each radius.
    """

    queries: Interval
    images: Interval
    good: tuple[Interval, ...]
    answer: Mapping[Answer, float]
    answers: tuple[Mapping[Answer, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelPilot:
    """Votes for their own labels of some of the images that a claim is about.

    Attributes:
        pilot: the votes.
        places: of its images that answer, among all different ones.
        silent: places of its images that do not.
        copies: (different,) how often each different image occurs.
    """

    pilot: Pilot
    places: Sequence[int]
    silent: Sequence[int]
    copies: NDArray[np.int64]

    def cells(self, rates: Rates, generator: np.random.Generator) -> NDArray[np.int64]:
        """One draw of the cells (images,) of all images, in a random order; `CELLS` of those that do not answer."""
        cells = generator.choice(CELLS, len(self.copies), p=rates.shares)
        if self.silent:  # their share has Jeffreys' prior
            share = generator.beta(len(self.silent) + 0.5, len(self.places) + 0.5)
            cells[generator.random(len(cells)) < share] = CELLS
        cells[list(self.places)] = rates.pilot
        cells[list(self.silent)] = CELLS
        found: NDArray[np.int64] = generator.permutation(np.repeat(cells, self.copies))
        return found


def forecast_acceptance(
    plan: AcceptancePlan,
    seen: LabelPilot,
    trials: ImageTrials,
    *,
    total_variation: float,
    seed: int,
    budget: int | None = None,
) -> AcceptanceExpectation:
    """What an acceptance test about one group of images will cost and answer.

    Args:
        plan: the claims, about one group called "".
        seen: the pilot.
        trials: of the plan's test.
        total_variation: distance between drawn and ideal noise of one image.
        seed: of the simulation.
        budget: queries after which it ends, None for no limit.
    """
    generator = np.random.default_rng(seed)
    leaks = plan.test.leaks(total_variation)
    needed = plan.test.needed()
    places = np.array([position(rate) for rate in needed])
    queries, images, good, claims = [], [], [], []
    for rates in Population(seen.pilot, needed).draws(REPLICATES, generator):
        cells = seen.cells(rates, generator)
        runs = trials.drawn(cells[: plan.cap(_GROUP)], generator)
        acceptance = Acceptance(plan, leaks)
        looked, asked = _looked(acceptance, trials, runs, math.inf if budget is None else budget)
        queries.append(asked)
        images.append(looked)
        answering = cells[cells < CELLS]
        good.append((MIDDLES[answering][:, None] > places).sum(0) / len(cells))
        claims.append((acceptance.answer, *acceptance.groups[_GROUP].answers))
    whole, *each = (_chances(answers) for answers in zip(*claims, strict=True))
    return AcceptanceExpectation(
        queries=Interval.of(np.array(queries, dtype=np.float64)),
        images=Interval.of(np.array(images, dtype=np.float64)),
        good=tuple(Interval.of(share) for share in np.array(good).T),
        answer=whole,
        answers=tuple(each),
    )


@dataclass(frozen=True, slots=True)
class _Run:
    """End of a simulated run."""

    queries: int
    states: tuple[State, ...]
    aside: bool


def _run(tests: RadiusTests, hits: NDArray[np.bool_], region: Region | None) -> _Run:
    """Ask about one image with these votes until its test ends or sets it aside."""
    asked = 0
    while not tests.finished:
        ahead = tests.ahead(0, 0)
        if region is not None:
            ahead = region.earliest(tests.draws, tests.successes, ahead)
        asked = tests.draws + ahead
        new = hits[tests.draws : asked]
        place = None if region is None else region.first(tests.draws, tests.successes + new.cumsum())
        tests.see(new if place is None else new[: place + 1])
        if place is not None and not tests.finished:
            return _Run(asked, tuple(tests.states()), aside=True)
    return _Run(asked, tuple(tests.states()), aside=False)


def _looked(acceptance: Acceptance, trials: ImageTrials, runs: NDArray[np.int64], budget: float) -> tuple[int, float]:
    """Look at images until the claims are answered or the budget ends.

    Return how many, and what they and those that were begun ahead cost.
    """
    counts = acceptance.groups[_GROUP]
    queries, spent = np.zeros(len(runs), dtype=np.int64), 0
    while counts.open and (place := counts.turns.next) is not None:
        if counts.turns.taken % _CHECKED == 0 and not acceptance.wants(_GROUP):
            break
        level, run = counts.turns.level, runs[place]
        more = int(trials.queries[level, run] - queries[place])
        if spent + more > budget:
            return counts.images, budget
        queries[place], spent = queries[place] + more, spent + more
        acceptance.see(_GROUP, trials.states[level][run], aside=bool(trials.aside[level, run]))
    begun = runs[counts.images : counts.images + counts.images // AHEAD]
    return counts.images, min(budget, spent + trials.first * len(begun))


def _chances(answers: Sequence[Answer]) -> dict[Answer, float]:
    """How often each answer was given."""
    counts = Counter(answers)
    return {answer: counts[answer] / len(answers) for answer in Answer}
