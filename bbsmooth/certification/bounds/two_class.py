"""Bounds on two classes: the one that was selected, and the strongest of all others."""

from __future__ import annotations

from collections.abc import Mapping

from bbsmooth.certification.bounds.clopper_pearson import ClopperPearson


def two_class_bounds(selected: int, counts: Mapping[int, int], *, alpha: float) -> tuple[float, float]:
    """Bounds (p_lower, p_upper): below the probability of `selected`, and above that of every other class.

    Both hold together with probability at least 1 - `alpha`, half of which each may miss. `selected` must come from
    other draws. The runner-up is read off the very votes that bound it, and yet there is nothing to correct for,
    however many classes there are and whether or not they were ever seen. Let B be the other class that truly is most
    probable, a fixed one. The largest count M among the others is at least N_B, and the upper bound U of Clopper &
    Pearson grows with the count, so U(M) < p_B implies U(N_B) < p_B, which has probability at most alpha / 2. Above p_B
    there is no other class.

    `p_upper` is 1 - `p_lower` where that is smaller, for all others together. Then the pair proves slightly less than
    one bound at level `alpha` would: what is spent on the runner-up is wasted.

    Args:
        selected: class chosen by other draws.
        counts: class to votes, for a number of draws fixed in advance.
        alpha: probability that either bound is wrong.

    Raises:
        ValueError: no votes, or `alpha` outside (0, 1).
    """
    bound, trials = ClopperPearson(), sum(counts.values())
    runner_up = max((votes for number, votes in counts.items() if number != selected), default=0)
    p_lower = bound.lower(counts.get(selected, 0), trials, alpha=alpha / 2)
    return p_lower, min(bound.upper(runner_up, trials, alpha=alpha / 2), 1 - p_lower)
