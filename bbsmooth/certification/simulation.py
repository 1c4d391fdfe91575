"""Cost and outcome of certifying an image with a given rate: the method itself, on votes that are drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from bbsmooth.certification.population import CELLS, EDGES, MIDDLES, Population, position
from bbsmooth.certification.protocols import Plan, Selection
from bbsmooth.certification.verdict import Certificate, Outcome, State

Floats = NDArray[np.float64]

_TRIALS = 5  # certifications in each cell next to the rate of a radius; one in others, where few differ from each other
_CLOSE = 0.5  # next to it
_RARE = 1e-6  # share of images for whose cell one is enough there too

QUERIES, DECIDED, CERTIFIED = 0, 1, 2
"""Columns: queries; whether nothing is left open; from the third on, whether each radius is certified."""


@dataclass(frozen=True, slots=True)
class Trials:
    """Certifications that were simulated.

    Attributes:
        cells: (trials,) of the rate of each, ascending.
        results: (plans, trials, 2 + radii), see `QUERIES`, `DECIDED`, `CERTIFIED`.
    """

    cells: NDArray[np.int64]
    results: Floats

    def totals(self, shares: Floats, pilot: NDArray[np.int64], rest: int, generator: np.random.Generator) -> Floats:
        """Sums (plans, 2 + radii) over the pilot's images and `rest` others.

        Args:
            shares: (`CELLS`,) of the others.
            pilot: (k,) cell of each image of the pilot.
            rest: number of others.
            generator: of the choice among trials of a cell.
        """
        number = np.bincount(self.cells, minlength=CELLS)
        times = generator.multinomial(rest, (shares / number)[self.cells])
        first = np.searchsorted(self.cells, pilot)
        np.add.at(times, first + generator.integers(number[pilot]), 1)
        totals: Floats = np.einsum("t,ptc->pc", times, self.results)
        return totals


def simulated(
    plans: Sequence[Plan],
    population: Population,
    usual: Floats,
    *,
    radii: tuple[float, ...],
    total_variation: float,
    generator: np.random.Generator,
) -> Trials:
    """Certifications by several plans, on the same votes, of images of every rate.

    The method is run as it is: with what it asks ahead of its decision and where it gives up, for which no closed
    computation is known. Where draws are many, next to the rates that radii need, more images are tried.

    Args:
        plans: that differ in the number of draws alone; the first has the most.
        population: to say how the votes for other classes are divided.
        usual: (`CELLS`,) mean share of images; rare ones are tried once.
        radii: to be counted.
        total_variation: distance between drawn and ideal noise of one image.
        generator: of the votes.
    """
    nearest = np.abs(MIDDLES[:, None] - [position(p) for p in population.probabilities]).min(1)
    number = np.where((usual > _RARE) & (nearest < _CLOSE), _TRIALS, 1)
    cells = np.repeat(np.arange(CELLS), number)
    rates = ndtr(EDGES[cells] + (EDGES[1] - EDGES[0]) * generator.random(len(cells)))
    votes = generator.binomial(plans[0].num_selection, rates)
    results = np.empty((len(plans), len(cells), 2 + len(radii)))
    for trial in np.argsort(votes, kind="stable"):  # boundaries of equal votes are computed once
        likelihood = population.likelihood[:, cells[trial]]
        others = _others(population, likelihood, generator)
        hits = generator.random(plans[0].max_estimation) < rates[trial]
        selection = Selection(
            selected=0,
            votes=int(votes[trial]),
            total_variation=total_variation,
            uniform=float(generator.random()),
        )
        for place, plan in enumerate(plans):
            queries, outcome = simulate(plan, selection, hits, others, generator)
            results[place, trial] = [queries, _is_decided(outcome), *(_proves(outcome, radius) for radius in radii)]
    return Trials(cells, results)


def simulate(
    plan: Plan, selection: Selection, hits: NDArray[np.bool_], others: Floats, generator: np.random.Generator
) -> tuple[int, Outcome]:
    """Certify an image by given estimation votes: the queries asked and the outcome.

    Args:
        plan: how.
        selection: what the selection votes said.
        hits: whether each estimation vote is for the selected class; at least as many as the plan may ask.
        others: probabilities of the other classes, among votes that are not for it.
        generator: divides those votes.
    """
    judge, asked = plan.judge(selection), 0
    while not judge.finished:
        asked = max(asked, min(judge.until, plan.max_estimation))
        judge.see(hits[judge.draws : asked])
    successes = int(hits[: judge.draws].sum())
    misses = generator.multinomial(judge.draws - successes, others).tolist()
    return plan.num_selection + asked, judge.outcome(Counter(dict(enumerate([successes, *misses]))))


def _others(population: Population, likelihood: Floats, generator: np.random.Generator) -> Floats:
    """Division of the votes for other classes, as in an image of the pilot that may have this rate."""
    if not len(likelihood) or not likelihood.sum():
        return np.ones(1)
    image = int(generator.choice(len(likelihood), p=likelihood / likelihood.sum()))
    counts = np.array(population.pilot.others[image] if population.pilot.others else (), dtype=np.float64)
    return counts / counts.sum() if counts.sum() else np.ones(1)


def _is_decided(outcome: Outcome) -> bool:
    """True if every radius is certified or refuted; without radii to decide, if anything is certified."""
    if outcome.decisions:
        return all(decision.state is not State.UNDECIDED for decision in outcome.decisions)
    return isinstance(outcome.verdict, Certificate)


def _proves(outcome: Outcome, radius: float) -> bool:
    return isinstance(outcome.verdict, Certificate) and outcome.verdict.radius >= radius
