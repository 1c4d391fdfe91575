"""A mixture whose prior is learnt before the first draw, from earlier images or from the selection's votes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from bbsmooth.certification.sequences.protocol import Boundary, Floats
from bbsmooth.certification.sequences.solving import above, first_successes, never

_POINTS = 256
_CHUNK = 2048


@dataclass(frozen=True, slots=True)
class LearnedPrior:
    """Rejects p <= p_null where the wealth under a discrete prior restricted to p > p_null reaches 1 / alpha.

    W_t = sum_j w_j (p_j / p_null)^S ((1 - p_j) / (1 - p_null))^(t - S) / sum_j w_j over the points p_j > p_null: a
    martingale with mean 1 at p = p_null for *any* weights fixed before the first of the t draws, and growing with S.
    With all weight on the true rate it is Wald's sequential probability ratio test that knows p ("Halt Fast!", arXiv
    2606.27694, learns it from earlier inputs). Part of the weight stays on the Krichevsky-Trofimov prior, so that a
    misleading past costs log(1 / `hedge`) and not the decision.

    Args:
        weights: of the points sin^2(pi (j + 1/2) / (2 k)), j = 0 ... k - 1, on which equal weights are the
            Krichevsky-Trofimov prior; they sum to 1.
        hedge: share of the weight that is spread equally in addition.

    Raises:
        ValueError: weights that are no distribution, or a hedge outside (0, 1].
    """

    weights: tuple[float, ...]
    hedge: float = 0.1

    def __post_init__(self) -> None:
        """Refuse what is no prior."""
        if not (self.weights and min(self.weights) >= 0 and math.isclose(sum(self.weights), 1, rel_tol=1e-9)):
            raise ValueError("the weights of a prior must be non-negative and sum to 1")
        if not 0 < self.hedge <= 1:
            raise ValueError(f"the hedge must lie in (0, 1], got {self.hedge}")

    @classmethod
    def flat(cls, *, hedge: float = 0.1) -> LearnedPrior:
        """Nothing learnt yet: the Krichevsky-Trofimov prior."""
        return cls((1 / _POINTS,) * _POINTS, hedge)

    @classmethod
    def learn(cls, votes: Sequence[tuple[int, int]], *, hedge: float = 0.1) -> LearnedPrior:
        """The mean posterior over earlier images, each given as (successes, trials)."""
        flat = cls.flat(hedge=hedge)
        if not votes:
            return flat
        return cls(tuple(np.mean([flat.after(*counts).weights for counts in votes], axis=0).tolist()), hedge)

    def after(self, successes: int, trials: int) -> LearnedPrior:
        """The posterior after votes on the same image that the test will not see again, such as the selection's.

        Those votes come from a stream of their own, so given them the draws that are tested are as before.
        """
        points = _points(len(self.weights))
        log_weights = np.log(self._mixed()) + successes * np.log(points) + (trials - successes) * np.log1p(-points)
        weights = np.exp(log_weights - logsumexp(log_weights))
        return LearnedPrior(tuple((weights / weights.sum()).tolist()), self.hedge)

    @property
    def name(self) -> str:
        """Names the test; the weights are not part of it."""
        return f"learned-prior({self.hedge})"

    def mirrored(self) -> LearnedPrior:
        """See `OneSidedTest`."""
        return LearnedPrior(self.weights[::-1], self.hedge)

    def boundary(self, p_null: float, *, alpha: float, cap: int) -> Boundary:
        """See `OneSidedTest`. Looks after every draw up to 500, then after every 500th part more."""
        boundary = never(cap)
        if p_null >= _points(len(self.weights))[-1]:
            return boundary
        times = _looks(cap)
        boundary[times] = first_successes(
            lambda successes, index: self.log_wealth(successes, times[index], p_null),
            math.log(1 / alpha),
            lowest=above(p_null, cap).clip(max=boundary)[times],
            highest=boundary[times],
        )
        return boundary

    def lower(self, successes: int, trials: int, *, alpha: float) -> float:
        """See `OneSidedTest`: none, because a discrete prior's tests do not reject an interval of rates."""
        return 0.0

    def log_wealth(self, successes: NDArray[np.int64], trials: NDArray[np.int64], p_null: float) -> Floats:
        """Logarithm of W, elementwise."""
        points, mixed = _points(len(self.weights)), self._mixed()
        points, mixed = points[points > p_null], mixed[points > p_null]
        win, lose = np.log(points / p_null), np.log((1 - points) / (1 - p_null))
        weights = np.log(mixed / mixed.sum())
        flat_successes, flat_failures = successes.reshape(-1), (trials - successes).reshape(-1)
        parts = [
            logsumexp(
                flat_successes[start : start + _CHUNK, None] * win
                + flat_failures[start : start + _CHUNK, None] * lose
                + weights,
                axis=1,
            )
            for start in range(0, len(flat_successes), _CHUNK)
        ]
        return np.concatenate(parts).reshape(successes.shape)

    def _mixed(self) -> Floats:
        return (1 - self.hedge) * np.array(self.weights) + self.hedge / len(self.weights)


@dataclass(frozen=True, slots=True)
class FromSelection:
    """For each image the prior that its own selection votes leave of what was known before.

    Args:
        prior: before the selection.
    """

    prior: LearnedPrior

    def given(self, successes: int, trials: int) -> LearnedPrior:
        """The test for an image whose selected class got `successes` of `trials` selection votes."""
        return self.prior.after(successes, trials)


def _looks(cap: int) -> NDArray[np.int64]:
    times, now = [], 0
    while now < cap:
        now = min(cap, now + max(1, now // 500))
        times.append(now)
    return np.array(times)


def _points(count: int) -> Floats:
    return np.sin(np.pi / 2 * (np.arange(count) + 0.5) / count) ** 2
