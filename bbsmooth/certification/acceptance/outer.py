"""The test over images: a boundary on the number of successes in a random sample, with its exact error.

A `Null` is the least favourable case of a false claim: drawing without replacement from `size` tickets of which
`base` + Bin(`size` - `base`, `leak`) win, or independent trials. Either is exchangeable, so the chance of a success
after s in t trials depends on (t, s) alone, and the probability of ever reaching a boundary follows by dynamic
programming over (t, s) without approximation.

The boundary is where the likelihood ratio of an alternative to the null reaches a constant: the mean over shares spread
evenly between the null and 1. The constant is the smallest on a fixed grid whose exact error is at most the level, so
that the boundary of a smaller level never lies below that of a larger one. Whatever the shape, the error is that of the
boundary itself: the choice of the alternative costs images and never risk.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp, xlogy

from bbsmooth.certification.sequences.protocol import Boundary, Floats
from bbsmooth.certification.sequences.solving import first_successes, never

_POINTS = 64  # shares in the alternative
_NEGLIGIBLE = 60.0  # natural logarithm by which a number of winning tickets may be less likely than the likeliest
_STEP = 0.02  # of the logarithm of the constant
_STEPS = 200  # below 1 / level, where it is sought
_TINY = 1e-300
_ROUNDING = 1e-9  # relative; sums of positive numbers


@dataclass(frozen=True, slots=True)
class Null:
    """The least favourable case of a false claim.

    Args:
        size: images of the population, None for infinitely many.
        base: of these, those that succeed for sure; with `size` None their share.
        leak: probability with which each other one succeeds.

    Raises:
        ValueError: a number or a probability that is none.
    """

    size: int | None
    base: float
    leak: float

    def __post_init__(self) -> None:
        """Refuse what is no population."""
        most = 1.0 if self.size is None else self.size
        if not (0 <= self.base <= most and 0 <= self.leak < 1):
            raise ValueError(f"no population: {self.base} of {most} with a leak of {self.leak}")

    @property
    def rate(self) -> float:
        """Expected share of successes."""
        share = self.base if self.size is None else self.base / self.size
        return share + self.leak * (1 - share)

    def tickets(self) -> tuple[Floats, Floats]:
        """Numbers of winning tickets (k,), and natural logarithms of their probabilities; shares if infinite.

        What is left out is less likely than exp(-60) of the likeliest.
        """
        if self.size is None:
            return np.array([self.rate]), np.zeros(1)
        others = int(self.size - self.base)
        extra = np.arange(others + 1)
        ways = gammaln(others + 1) - gammaln(extra + 1) - gammaln(others - extra + 1)
        weights = ways + xlogy(extra, self.leak) + xlogy(others - extra, 1 - self.leak)
        kept = weights > weights.max() - _NEGLIGIBLE
        return self.base + extra[kept].astype(float), weights[kept]

    def log_sequence(self, successes: NDArray[np.int64], trials: NDArray[np.int64]) -> Floats:
        """Natural logarithm of the probability of one sequence, elementwise (k,); -inf where there can be none."""
        return _mixed(self.size, successes, trials, *self.tickets())

    def alternative(self) -> tuple[Floats, Floats]:
        """Winning tickets (k,), or shares, spread evenly above the null, with log-weights."""
        spread = self.rate + (1 - self.rate) * (np.arange(_POINTS) + 0.5) / _POINTS
        points = spread if self.size is None else np.unique(np.ceil(spread * self.size))
        return points, np.full(len(points), -math.log(len(points)))


def _mixed(
    size: int | None, successes: NDArray[np.int64], trials: NDArray[np.int64], points: Floats, weights: Floats
) -> Floats:
    """Logarithm of the probability of one sequence, mixed over numbers of winning tickets."""
    won, lost = successes[:, None], (trials - successes)[:, None]
    if size is None:
        terms = xlogy(won, points) + xlogy(lost, 1 - points)
    else:
        terms = _falling(points, won) + _falling(size - points, lost) - _falling(np.array(float(size)), won + lost)
    return np.asarray(logsumexp(terms + weights, axis=1))


def _falling(base: Floats, count: NDArray[np.int64]) -> Floats:
    """Logarithm of base (base - 1) ... (base - count + 1); -inf where count exceeds base."""
    rest = base - count
    found: Floats = np.where(rest >= 0, gammaln(base + 1) - gammaln(np.maximum(rest, 0) + 1), -np.inf)
    return found


def crossing(null: Null, upper: Boundary) -> float:
    """The probability, rounded up, of ever having at least upper[t] successes after t trials.

    Backwards over t: V_t(s) = 1 where s >= upper[t], else r V_(t+1)(s + 1) + (1 - r) V_(t+1)(s), with r the chance of a
    success given s of t. In an exchangeable sequence "success, failure" is as likely as "failure, success", so that r
    follows backwards too: r_t(s) (1 - r_(t+1)(s + 1)) = (1 - r_t(s)) r_(t+1)(s).

    Args:
        null: the population.
        upper: (cap + 1,), the cap at most the population's size.
    """
    cap = len(upper) - 1
    value = (np.arange(cap + 1) >= upper[cap]).astype(float)
    chance = _last_chances(null, cap - 1)
    for trials in range(cap - 1, -1, -1):
        if trials < cap - 1 and null.size is not None:
            chance = _earlier(chance)
        rate = chance[: trials + 1]
        value = rate * value[1 : trials + 2] + (1 - rate) * value[: trials + 1]
        value[max(0, int(upper[trials])) :] = 1.0
    return float(value[0]) * (1 + _ROUNDING)


def _last_chances(null: Null, trials: int) -> Floats:
    """The chance of a success (trials + 1,) after s = 0 ... `trials` of `trials`."""
    if null.size is None:
        return np.full(trials + 1, null.rate)
    won = np.arange(trials + 1)
    before = np.full(trials + 1, trials)
    here, next_ = null.log_sequence(won, before), null.log_sequence(won + 1, before + 1)
    possible = np.isfinite(here)
    chance = np.where(won <= null.base, 1.0, 0.0)  # never reached: too few successes, or too many
    chance[possible] = np.exp(next_[possible] - here[possible])
    return chance.clip(0.0, 1.0)


def _earlier(chance: Floats) -> Floats:
    """The chances one trial before."""
    few, many = chance[:-1], chance[1:]
    total = 1 - many + few
    found: Floats = np.divide(few, total, out=np.full(len(few), 0.5), where=total > 0)
    return found


@lru_cache(maxsize=256)
def boundary(null: Null, *, level: float, cap: int) -> Boundary:
    """The fewest successes (cap + 1,) after t = 0 ... `cap` images that reject the null; t + 1 is never.

    Args:
        null: what is rejected.
        level: most that the exact probability of ever rejecting it may be.
        cap: most images, at most the population's size.

    Raises:
        ValueError: a level outside (0, 1), or a cap that is none.
    """
    if not 0 < level < 1:
        raise ValueError(f"a level must lie between 0 and 1, got {level}")
    if not 1 <= cap <= (cap if null.size is None else null.size):
        raise ValueError(f"the most images must lie between 1 and {null.size}, got {cap}")
    points, weights = null.alternative()

    def ratio(successes: NDArray[np.int64], trials: NDArray[np.int64]) -> Floats:
        above, below = _mixed(null.size, successes, trials, points, weights), null.log_sequence(successes, trials)
        with np.errstate(invalid="ignore"):
            found = above - below
        return np.where(np.isneginf(below) & (successes > null.base), np.inf, np.nan_to_num(found, nan=-np.inf))

    def at(constant: float, lowest: Boundary, highest: Boundary) -> Boundary:
        return first_successes(ratio, constant, lowest=lowest, highest=highest)

    share = np.ceil(np.arange(cap + 1) * null.rate).astype(np.int64).clip(max=never(cap))
    high = step = math.ceil(-math.log(level) / _STEP)
    low = high - _STEPS
    best = at(high * _STEP, share, never(cap))
    risky = at(low * _STEP, share, best)
    error = crossing(null, best)
    if error > level:  # the ratio bounds nothing where its alternative overlaps the null
        best, high = never(cap), low
    while high - low > 1:
        step += round(math.log(max(error, _TINY) / level) / _STEP)
        if not low < step < high:
            step = (low + high) // 2
        tried = at(step * _STEP, risky, best)
        error = crossing(null, tried)
        if error <= level:
            best, high = tried, step
        else:
            risky, low = tried, step
    best.flags.writeable = False
    return best


def successes_left(upper: Boundary, trials: int, successes: int) -> int | None:
    """The fewest further images with which a boundary can be reached; None where it cannot be any more.

    Args:
        upper: of the count.
        trials: images so far.
        successes: among them.
    """
    failures = trials - successes
    spare = np.arange(trials, len(upper)) - upper[trials:]
    reached = np.flatnonzero(spare >= failures)
    return int(reached[0]) if len(reached) else None


def expected_images(rate: float, upper: Boundary) -> tuple[float, float]:
    """(probability of reaching a boundary, expected images until then or the cap), successes being independent.

    Args:
        rate: of successes.
        upper: the boundary.
    """
    cap = len(upper) - 1
    mass, reached, images = np.zeros(cap + 2), 0.0, 0.0
    mass[0] = 1.0
    for trials in range(1, cap + 1):
        mass[1 : trials + 1] = mass[1 : trials + 1] * (1 - rate) + mass[:trials] * rate
        mass[0] *= 1 - rate
        least = int(upper[trials])
        if least <= trials:
            ended = float(mass[least : trials + 1].sum())
            reached, images = reached + ended, images + trials * ended
            mass[least : trials + 1] = 0.0
    return reached, images + cap * (1 - reached)
