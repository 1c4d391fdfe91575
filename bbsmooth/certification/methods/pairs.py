"""From the votes of an earlier classifier to a bound for one that differs from it a little."""

from __future__ import annotations

from dataclasses import dataclass

from bbsmooth.certification.bounds.clopper_pearson import ClopperPearson


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Votes for one class by an earlier classifier, and by a later one on the first of the same draws.

    Attributes:
        earlier_votes: for the class among all draws of the earlier classifier.
        earlier_trials: how many these are.
        votes: for the class among the draws that the later one answered.
        trials: how many these are; fixed in advance.
        lost: of these, draws on which the earlier one votes for the class and the later one does not.

    Raises:
        ValueError: there are no such votes.
    """

    earlier_votes: int
    earlier_trials: int
    votes: int
    trials: int
    lost: int

    def __post_init__(self) -> None:
        """Refuse votes that contradict each other."""
        if not (0 < self.trials <= self.earlier_trials and 0 <= self.lost <= self.trials - self.votes <= self.trials):
            raise ValueError(f"impossible votes: {self}")
        if not self.lost <= self.earlier_votes <= self.earlier_trials - self.trials + self.votes + self.lost:
            raise ValueError(f"impossible votes: {self}")


def lower_by_change(pairs: Pairs, *, alpha: float) -> float:
    """A lower bound on the later classifier's probability p' of the class: p less the probability of losing a vote.

    p' >= p - P[lost]. Both terms are bounded by Clopper & Pearson at level alpha / 2, so that they hold together with
    probability at least 1 - `alpha` although they share draws.

    Ugare et al. (ICLR 2024) take off the probability that the two answers differ at all; a change between two other
    classes, or towards this one, does no harm.
    """
    bound, level = ClopperPearson(), alpha / 2
    kept = bound.lower(pairs.earlier_votes, pairs.earlier_trials, alpha=level)
    return kept - bound.upper(pairs.lost, pairs.trials, alpha=level)


def lower_by_votes(pairs: Pairs, *, alpha: float) -> float:
    """A lower bound on p' by the later classifier's votes alone."""
    return ClopperPearson().lower(pairs.votes, pairs.trials, alpha=alpha)
