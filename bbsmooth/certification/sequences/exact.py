"""Exact properties of a boundary: dynamic programming over the number of successes, without Monte-Carlo doubt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bbsmooth.certification.sequences.protocol import Boundary, Floats

_NEGLIGIBLE = 1e-25
_ROUNDING = 1e-9  # relative; the sums below are of positive numbers and err by less than 1e-15 a step


@dataclass(frozen=True, slots=True)
class Stopping:
    """Times and ways in which a test ends, at one rate p.

    Attributes:
        times: (k,) draws after which it can end, in order.
        certified: (k,) probability of rejecting p <= p_null there.
        refuted: (k,) probability of rejecting p >= p_null there.
        open: probability of neither, up to the cap.
        lost: probability that the computation dropped in the tails; it could belong to any of the above.
        cap: most draws.
    """

    times: Boundary
    certified: Floats
    refuted: Floats
    open: float
    lost: float
    cap: int

    @property
    def certification(self) -> float:
        """Probability of rejecting p <= p_null, rounded up."""
        return float(self.certified.sum() + self.lost) * (1 + _ROUNDING)

    @property
    def refutation(self) -> float:
        """Probability of rejecting p >= p_null, rounded up."""
        return float(self.refuted.sum() + self.lost) * (1 + _ROUNDING)

    @property
    def mean(self) -> float:
        """Expected number of draws."""
        return float(self.times @ (self.certified + self.refuted)) + self.cap * (self.open + self.lost)

    def decided_by(self, draws: int) -> float:
        """Probability of an end after at most `draws`."""
        return float((self.certified + self.refuted)[self.times <= draws].sum())


def stopping(p: float, *, upper: Boundary | None = None, lower: Boundary | None = None) -> Stopping:
    """The end of a test that rejects p <= p_null at S_t >= upper[t] and p >= p_null at S_t <= lower[t].

    Only times at which a path can cross first are visited: t with upper[t] <= upper[t - 1] (else S_t >= upper[t]
    implies S_(t-1) >= upper[t - 1]) or lower[t] > lower[t - 1]. Between two of them S grows by a binomial number.

    Args:
        p: true rate, in [0, 1].
        upper: (cap + 1,), None where p <= p_null is never rejected.
        lower: (cap + 1,), None where p >= p_null is never rejected; lower[t] < upper[t].
    """
    from scipy.stats import binom  # takes a second to import

    given = [boundary for boundary in (upper, lower) if boundary is not None]
    cap = len(given[0]) - 1
    upper = np.arange(1, cap + 2) if upper is None else upper
    lower = np.full(cap + 1, -1) if lower is None else lower
    times = 1 + np.flatnonzero((np.diff(upper) <= 0) | (np.diff(lower) > 0))
    certified, refuted, lost = np.zeros(len(times)), np.zeros(len(times)), 0.0
    steps: dict[int, Floats] = {}
    mass, least, now = np.ones(1), 0, 0  # mass[i] is the probability of least + i successes and no end so far
    for index, (time, most, few) in enumerate(
        zip(times.tolist(), upper[times].tolist(), lower[times].tolist(), strict=True)
    ):
        gap = time - now
        if gap not in steps:
            steps[gap] = binom.pmf(np.arange(gap + 1), gap, p)
        mass, now = np.convolve(mass, steps[gap]), time
        if most < least + len(mass):
            cut = max(0, most - least)
            certified[index], mass = mass[cut:].sum(), mass[:cut]
        if few >= least:
            cut = few - least + 1
            refuted[index], mass, least = mass[:cut].sum(), mass[cut:], least + cut
        if index % 16 == 0 and len(mass):
            kept = np.flatnonzero(mass > _NEGLIGIBLE)
            first, last = (int(kept[0]), int(kept[-1]) + 1) if len(kept) else (0, 0)
            lost += float(mass[:first].sum() + mass[last:].sum())
            mass, least = mass[first:last], least + first
        if not len(mass):
            break
    return Stopping(times, certified, refuted, open=float(mass.sum()), lost=lost, cap=cap)
