"""A choice of sigma by successive halving (Jamieson & Talwalkar, AISTATS 2016), whoever gives the votes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from torch import Tensor

from bbsmooth.certification.forecast import Interval, Way, forecast
from bbsmooth.certification.methods.pilot import Pilot, PilotCase


class Trial(Protocol):
    """One sigma."""

    @property
    def right(self) -> Interval:
        """Share of images that are expected to be right and certified, 0 before the first question."""
        ...

    def ask(self, images: Sequence[tuple[int, Tensor]]) -> None:
        """Learn the votes of images, each with its place, and forecast from them."""
        ...


def halve(
    trials: Mapping[float, Trial], halving: Sequence[tuple[int, int]], images: Sequence[tuple[int, Tensor]]
) -> list[float]:
    """The sigmas of the last round, after all rounds.

    Args:
        trials: by sigma.
        halving: rounds, see `bbsmooth.settings.sigma.rounds`.
        images: of the pilot, with their places.
    """
    left = list(trials)
    for number, seen in halving:
        left = sorted(sorted(left, key=lambda sigma: -trials[sigma].right.expected)[:number])
        for sigma in left:
            trials[sigma].ask(images[:seen])
    return left


def best_of(left: Iterable[float], trials: Mapping[float, Trial]) -> float:
    """The sigma with the largest expected share, of equals the smallest."""
    return max(sorted(left), key=lambda sigma: trials[sigma].right.expected)


def expected_right(
    cases: Mapping[int, PilotCase],
    label: Callable[[int], int],
    way: Way,
    *,
    draws: int,
    images: int,
    total_variation: float,
    seed: int,
) -> Interval:
    """Share of images that are expected to be right and certified, from the votes for the label of each.

    Args:
        cases: of the pilot's images, by their place.
        label: from the place of an image to the number of its label among the oracle's classes.
        way: the certification, at one radius.
        draws: of each image.
        images: how many others of the same kind are to be certified.
        total_variation: distance between drawn and ideal noise of one image.
        seed: of the simulation.
    """
    votes = [case.votes_for(label(index)) for index, case in cases.items()]
    answered = tuple(each for each in votes if each is not None)
    seen = Pilot(votes=answered, draws=draws, unanswered=len(votes) - len(answered))
    (expected,) = forecast([way], seen, images=images, total_variation=total_variation, seed=seed, apart=True)
    (right,) = expected.certified
    return right
