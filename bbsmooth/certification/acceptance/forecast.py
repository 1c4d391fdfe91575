"""Forecasts, from a pilot, of what an acceptance test will cost and answer.

The rates of all images are drawn from their posterior (`population`), for the images of the pilot given their votes for
their own labels; equal images have equal rates. They come in a random order, what befalls each is drawn from simulated
runs of its test at its rate, and the claims themselves look at them until they are answered, group by group as a real
test does. So intervals and chances cover what the pilot, the images, their order, their draws and, with groups, the
differences between these (`grouping`) leave to chance. A budget ends the test, where there is one.
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
from bbsmooth.certification.acceptance.grouping import kinds_of_cells, shares_by_group
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
class ClaimExpectation:
    """Expectations of one claim.

    Attributes:
        good: share of the group's images that are right and robust at the radius.
        answer: how likely each answer is.
    """

    good: Interval
    answer: Mapping[Answer, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptanceExpectation:
    """Expectations of an acceptance test.

    Attributes:
        queries: until the answer, the largest number of images, or the budget.
        images: looked at, of all groups.
        answer: how likely each answer to all claims together is.
        claims: by group, one for each radius.
    """

    queries: Interval
    images: Interval
    answer: Mapping[Answer, float]
    claims: Mapping[str, tuple[ClaimExpectation, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelPilot:
    """Votes for their own labels of some of the images that a claim is about.

    Attributes:
        pilot: the votes.
        places: of its images that answer, among all different ones.
        silent: places of its images that do not.
        kinds: (images,) place of each image among the different ones, ascending.
        groups: (images,) number of the group of each.
    """

    pilot: Pilot
    places: Sequence[int]
    silent: Sequence[int]
    kinds: NDArray[np.int64]
    groups: NDArray[np.int64]

    def cells(self, rates: Rates, kinds: NDArray[np.int64], generator: np.random.Generator) -> list[NDArray[np.int64]]:
        """One draw of the cells of the images of each group, in a random order; `CELLS` of those that do not answer.

        Args:
            rates: of all images, and of the pilot's.
            kinds: of each cell.
            generator: of the draw.
        """
        _, first = np.unique(self.kinds, return_index=True)
        group_of = self.groups[first]  # of each different image
        number = int(self.groups.max()) + 1
        seen = np.zeros((number, kinds.max() + 1), dtype=np.int64)
        np.add.at(seen, (group_of[list(self.places)], kinds[rates.pilot]), 1)
        cells = np.empty(len(group_of), dtype=np.int64)
        for group, shares in enumerate(shares_by_group(rates.shares, kinds, seen, generator)):
            members = group_of == group
            cells[members] = generator.choice(CELLS, int(members.sum()), p=shares)
        if self.silent:  # their share has Jeffreys' prior
            share = generator.beta(len(self.silent) + 0.5, len(self.places) + 0.5)
            cells[generator.random(len(cells)) < share] = CELLS
        cells[list(self.places)] = rates.pilot
        cells[list(self.silent)] = CELLS
        order = generator.permutation(len(self.kinds))
        ordered, of_group = cells[self.kinds[order]], self.groups[order]
        return [ordered[of_group == group] for group in range(number)]


def forecast_acceptance(
    plan: AcceptancePlan,
    seen: LabelPilot,
    trials: ImageTrials,
    *,
    total_variation: float,
    seed: int,
    budget: int | None = None,
) -> AcceptanceExpectation:
    """What an acceptance test will cost and answer.

    Args:
        plan: the claims; its groups have the numbers of the pilot's.
        seen: the pilot.
        trials: of the plan's test.
        total_variation: distance between drawn and ideal noise of one image.
        seed: of the simulation.
        budget: queries after which it ends, None for no limit.
    """
    generator = np.random.default_rng(seed)
    leaks, needed = plan.test.leaks(total_variation), plan.test.needed()
    places, kinds = np.array([position(rate) for rate in needed]), kinds_of_cells(needed)
    most = math.inf if budget is None else budget
    queries, images, wholes = [], [], []
    goods: dict[str, list[NDArray[np.float64]]] = {group: [] for group in plan.sizes}
    answers: dict[str, list[list[Answer]]] = {group: [] for group in plan.sizes}
    for rates in Population(seen.pilot, needed).draws(REPLICATES, generator):
        cells = dict(zip(plan.sizes, seen.cells(rates, kinds, generator), strict=True))
        runs = {group: trials.drawn(own[: plan.cap(group)], generator) for group, own in cells.items()}
        acceptance = Acceptance(plan, leaks)
        queries.append(_asked(acceptance, trials, runs, most))
        images.append(sum(counts.images for counts in acceptance.groups.values()))
        wholes.append(acceptance.answer)
        for group, own in cells.items():
            answering = own[own < CELLS]
            goods[group].append((MIDDLES[answering][:, None] > places).sum(0) / len(own))
            answers[group].append(list(acceptance.groups[group].answers))
    return AcceptanceExpectation(
        queries=Interval.of(np.array(queries, dtype=np.float64)),
        images=Interval.of(np.array(images, dtype=np.float64)),
        answer=_chances(wholes),
        claims={group: _claims(np.array(goods[group]), answers[group]) for group in plan.sizes},
    )


def _claims(goods: NDArray[np.float64], answers: Sequence[Sequence[Answer]]) -> tuple[ClaimExpectation, ...]:
    """Expectations of the claims of one group, from shares and answers by replicate and radius."""
    return tuple(
        ClaimExpectation(good=Interval.of(good), answer=_chances(answer))
        for good, answer in zip(goods.T, zip(*answers, strict=True), strict=True)
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


def _asked(acceptance: Acceptance, trials: ImageTrials, runs: Mapping[str, NDArray[np.int64]], budget: float) -> float:
    """Look at images in their turns until the claims are answered or the budget ends.

    Return what they and those that were begun ahead cost.

    Args:
        acceptance: the claims, see `Acceptance.turn` for whose image comes next.
        trials: runs of the test.
        runs: of them, that of each image, by group.
        budget: most queries.
    """
    queries = {group: np.zeros(len(own), dtype=np.int64) for group, own in runs.items()}
    spent, wanting, open_ = 0, list(runs), _open(acceptance)
    while wanting:
        group = min(wanting, key=lambda each: acceptance.groups[each].turns.taken)
        counts = acceptance.groups[group]
        place = counts.turns.next
        if place is None or not counts.open or (counts.turns.taken % _CHECKED == 0 and not acceptance.wants(group)):
            wanting.remove(group)
            continue
        level, run = counts.turns.level, runs[group][place]
        more = int(trials.queries[level, run] - queries[group][place])
        if spent + more > budget:
            return budget
        queries[group][place], spent = queries[group][place] + more, spent + more
        acceptance.see(group, trials.states[level][run], aside=bool(trials.aside[level, run]))
        if (left := _open(acceptance)) < open_:  # others may now answer what they could not before
            wanting, open_ = list(runs), left
    looked = {group: counts.images for group, counts in acceptance.groups.items()}
    ahead = sum(len(runs[group][images : images + images // AHEAD]) for group, images in looked.items())
    return min(budget, spent + trials.first * ahead)


def _open(acceptance: Acceptance) -> int:
    """Claims without an answer."""
    return sum(len(counts.open) for counts in acceptance.groups.values())


def _chances(answers: Sequence[Answer]) -> dict[Answer, float]:
    """How often each answer was given."""
    counts = Counter(answers)
    return {answer: counts[answer] / len(answers) for answer in Answer}
