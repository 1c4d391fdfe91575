"""Bounds by a number of votes fixed in advance about the probabilities of classes, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

from bbsmooth.certification.bounds.clopper_pearson import ClopperPearson
from bbsmooth.certification.bounds.randomised import RandomisedClopperPearson
from bbsmooth.certification.bounds.two_class import two_class_bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """A bound from votes on a class that other draws have selected.

    Attributes:
        p_lower: at most its probability.
        p_upper: at least the probability of every other class, None where nothing better than 1 - `p_lower` is known.
        uniform: the number that was drawn beside the votes, None where the bound needs none.
    """

    p_lower: float
    p_upper: float | None = None
    uniform: float | None = None

    def corrected(self, total_variation: float) -> Bounds:
        """The same under ideal noise, at a distance of `total_variation` from what was drawn."""
        upper = None if self.p_upper is None else min(1.0, self.p_upper + total_variation)
        return Bounds(p_lower=max(0.0, self.p_lower - total_variation), p_upper=upper, uniform=self.uniform)

    @property
    def details(self) -> dict[str, float]:
        """Findings besides `p_lower`, by name."""
        known = {"p_upper": self.p_upper, "uniform": self.uniform}
        return {name: value for name, value in known.items() if value is not None}


class VoteBound(Protocol):
    """From votes to bounds that are wrong with probability at most alpha."""

    name: ClassVar[str]

    def bounds(self, selected: int, counts: Mapping[int, int], *, alpha: float, uniform: float) -> Bounds:
        """Bounds that the votes prove.

        Args:
            selected: class chosen by other draws.
            counts: class to votes, for a number of draws fixed in advance.
            alpha: probability that any of the bounds is wrong.
            uniform: in (0, 1), drawn independently of the votes, for bounds that need it.
        """
        ...

    def largest(self, trials: int, *, alpha: float) -> float:
        """No lower bound by `trials` votes is higher."""
        ...


@dataclass(frozen=True, slots=True)
class OneClass:
    """Clopper & Pearson's bound on the selected class."""

    name: ClassVar[str] = "clopper-pearson"

    def bounds(self, selected: int, counts: Mapping[int, int], *, alpha: float, uniform: float) -> Bounds:
        """Bounds that the votes prove, as `VoteBound` says."""
        hits, trials = counts.get(selected, 0), sum(counts.values())
        return Bounds(p_lower=ClopperPearson().lower(hits, trials, alpha=alpha))

    def largest(self, trials: int, *, alpha: float) -> float:
        """Largest lower bound that `trials` votes can give."""
        return ClopperPearson().lower(trials, trials, alpha=alpha)


@dataclass(frozen=True, slots=True)
class Randomised:
    """The randomised bound on the selected class, see `RandomisedClopperPearson`.

    Numbers below 1/20 count as 1/20, and those below twice alpha as that, which makes the bound lower and so leaves it
    valid: a lucky number would else prove an absurd radius for a class that gets every vote.
    """

    name: ClassVar[str] = "randomised"

    def bounds(self, selected: int, counts: Mapping[int, int], *, alpha: float, uniform: float) -> Bounds:
        """Bounds that the votes prove, as `VoteBound` says."""
        hits, trials = counts.get(selected, 0), sum(counts.values())
        bound = RandomisedClopperPearson(max(uniform, _least(alpha)))
        return Bounds(p_lower=bound.lower(hits, trials, alpha=alpha), uniform=uniform)

    def largest(self, trials: int, *, alpha: float) -> float:
        """Largest lower bound that `trials` votes can give."""
        return RandomisedClopperPearson(_least(alpha)).lower(trials, trials, alpha=alpha)


def _least(alpha: float) -> float:
    """The smallest number that counts: above `alpha`, below which one draw of a class would prove a rate of 1."""
    return max(0.05, min(2 * alpha, (1 + alpha) / 2))


@dataclass(frozen=True, slots=True)
class TwoClass:
    """Bounds on the selected class and on the strongest other one, see `two_class_bounds`."""

    name: ClassVar[str] = "two-class"

    def bounds(self, selected: int, counts: Mapping[int, int], *, alpha: float, uniform: float) -> Bounds:
        """Bounds that the votes prove, as `VoteBound` says."""
        p_lower, p_upper = two_class_bounds(selected, counts, alpha=alpha)
        return Bounds(p_lower=p_lower, p_upper=p_upper)

    def largest(self, trials: int, *, alpha: float) -> float:
        """Largest lower bound that `trials` votes can give."""
        return ClopperPearson().lower(trials, trials, alpha=alpha / 2)


VOTE_BOUNDS: dict[str, VoteBound] = {bound.name: bound for bound in (OneClass(), Randomised(), TwoClass())}
"""The bounds by name."""
