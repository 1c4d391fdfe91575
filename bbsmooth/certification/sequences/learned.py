"""A mixture whose prior is learnt before the first draw, from earlier images or from the selection's votes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from bbsmooth.certification.sequences.protocol import Boundary, Floats
from bbsmooth.certification.sequences.solving import SLACK, never

_POINTS = 256
_STEP = 1.08  # from one time to the next
_ITERATIONS = 20
_CLOSE = 1e-6

Numbers = NDArray[np.int64] | Floats


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
        """Names the hedge and, by the first digits of their SHA-256, the weights."""
        if self == LearnedPrior.flat(hedge=self.hedge):
            return f"flat-prior({self.hedge})"
        digest = hashlib.sha256(np.array(self.weights, dtype="<f8").tobytes()).hexdigest()
        return f"learned-prior({self.hedge},{digest[:12]})"

    def mirrored(self) -> LearnedPrior:
        """The same test of the rate of failures: the prior with its weights reversed."""
        return LearnedPrior(self.weights[::-1], self.hedge)

    def boundary(self, p_null: float, *, alpha: float, cap: int) -> Boundary:
        """See `OneSidedTest`.

        The logarithm of W is convex in successes and failures (that of a sum of exponentials), so that a plane that
        touches it anywhere lies below it: where the plane reaches the threshold, W does. Planes that touch it near the
        boundary, at times that grow by `_STEP`, give the boundary to far less than one success.
        """
        boundary = never(cap)
        if p_null >= _points(len(self.weights))[-1]:
            return boundary
        threshold = SLACK - math.log(alpha)  # 1 / alpha may be too large for a float
        times = np.unique(np.geomspace(1, cap, 2 + int(math.log(cap) / math.log(_STEP))).round())
        successes = times.copy()
        value, win, lose = self._touching(successes, times - successes, p_null)
        for _ in range(_ITERATIONS):  # Newton's
            if np.abs(value - threshold).max() < _CLOSE:
                break
            successes += (threshold - value) / (win - lose)
            value, win, lose = self._touching(successes, times - successes, p_null)
        free = threshold - value + win * successes + lose * (times - successes)
        trials = np.arange(cap + 1)
        after = np.searchsorted(times, trials).clip(max=len(times) - 1)
        for plane in (after, (after - 1).clip(min=0)):
            least = np.ceil((free[plane] - lose[plane] * trials) / (win[plane] - lose[plane]))
            least[~np.isfinite(least)] = cap + 1  # what is not a number rejects nothing
            boundary = np.minimum(boundary, least.clip(min=1, max=cap + 1).astype(np.int64))
        return boundary

    def lower(self, successes: int, trials: int, *, alpha: float) -> float:
        """See `OneSidedTest`: none, because a discrete prior's tests do not reject an interval of rates."""
        return 0.0

    def log_wealth(self, successes: NDArray[np.int64], trials: NDArray[np.int64], p_null: float) -> Floats:
        """Logarithm of W, elementwise."""
        return self._touching(successes, trials - successes, p_null)[0]

    def _touching(self, successes: Numbers, failures: Numbers, p_null: float) -> tuple[Floats, Floats, Floats]:
        """Logarithm of W (k,) at successes (k,) and failures (k,), and its derivatives with respect to both."""
        points, mixed = _points(len(self.weights)), self._mixed()
        points, mixed = points[points > p_null], mixed[points > p_null]
        win, lose = np.log(points / p_null), np.log((1 - points) / (1 - p_null))
        terms = successes[:, None] * win + failures[:, None] * lose + np.log(mixed / mixed.sum())
        top = terms.max(axis=1)
        posterior = np.exp(terms - top[:, None])
        total = posterior.sum(axis=1)
        return top + np.log(total), posterior @ win / total, posterior @ lose / total

    def _mixed(self) -> Floats:
        return (1 - self.hedge) * np.array(self.weights) + self.hedge / len(self.weights)


@dataclass(frozen=True, slots=True)
class FromSelection:
    """For each image the prior that its own selection votes leave of what was known before.

    Args:
        prior: before the selection.
    """

    prior: LearnedPrior

    @property
    def name(self) -> str:
        """Names the prior."""
        return f"{self.prior.name}-after-selection"

    def given(self, successes: int, trials: int) -> LearnedPrior:
        """The test for an image whose selected class got `successes` of `trials` selection votes."""
        return self.prior.after(successes, trials)


def _points(count: int) -> Floats:
    return np.sin(np.pi / 2 * (np.arange(count) + 0.5) / count) ** 2
