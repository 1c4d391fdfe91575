"""Several radii decided by one sequence of votes.

Radius R is certified by rejecting p <= p_R at level alpha and refuted by rejecting p >= p_R at level beta. The nulls
are nested: p_R grows with R. A radius counts as certified only once every smaller one is rejected too, and as refuted
only once every larger one is. Then no error adds up over radii. A false certificate of any size needs the rejection of
the smallest radius whose null is true, which has probability at most alpha; likewise for refutations and beta.
(A fixed-sequence procedure: Maurer, Hothorn, Lehmacher 1995.)

A rate next to p_R takes all draws up to the cap and is undecided then. That is seen earlier: where the rates that could
be expected to be certified within the cap are rejected at level beta. If no refutation follows soon, the radius is left
undecided. That claims nothing, so it takes nothing from alpha.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from bbsmooth.certification.sequences import OneSidedTest, certifying, refuting
from bbsmooth.certification.verdict import Decision, State

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PART = 3  # rounds of questions that are expected to lead to the decision
_TRUST = 8  # known votes for each one that may be asked for ahead
_PATIENCE = 0.25  # of the draws so far: so long a refutation is waited for where a certificate is out of reach,
_LEAST_PATIENCE = 32  # and at least this many draws


@dataclass(frozen=True, slots=True, eq=False)
class Boundaries:
    """Boundaries at which each radius is certified and refuted.

    Attributes:
        upper: (K, cap + 1) fewest successes that certify, by radius (ascending) and draws; t + 1 is never.
        lower: (K, cap + 1) most successes that refute; -1 is never.
        slim: (K, cap + 1) most successes with which a certificate is out of reach; at least `lower`.
        times: (T,) some draws, denser where few, at which forecasts look.
        spare: (K, T) most failures with which a radius can be certified by then.
        floor: (K, T) fewest successes with which a radius can stay in reach until then, less 1.
    """

    upper: NDArray[np.int64]
    lower: NDArray[np.int64]
    slim: NDArray[np.int64]
    times: NDArray[np.int64]
    spare: NDArray[np.int64]
    floor: NDArray[np.int64]

    @classmethod
    def of(cls, upper: NDArray[np.int64], lower: NDArray[np.int64], slim: NDArray[np.int64]) -> Boundaries:
        """With what forecasts need."""
        cap = upper.shape[1] - 1
        times = np.unique(np.geomspace(1, cap, 300).astype(np.int64))
        spare = np.maximum.accumulate(np.arange(cap + 1) - upper, axis=1)
        floor = np.maximum.accumulate(slim, axis=1)
        return cls(upper=upper, lower=lower, slim=slim, times=times, spare=spare[:, times], floor=floor[:, times])

    @property
    def cap(self) -> int:
        """Most draws."""
        return int(self.upper.shape[1]) - 1


@lru_cache(maxsize=32)  # at n = 100,000 each takes megabytes
def boundaries(
    test: OneSidedTest, probabilities: tuple[float, ...], *, margin: float, alpha: float, beta: float, cap: int
) -> Boundaries:
    """The boundaries for several radii.

    Args:
        test: on both sides.
        probabilities: that the radii need, ascending.
        margin: distance between drawn and ideal noise: certifying needs so much more than p_R, refuting so much less.
        alpha: level of certifying.
        beta: level of refuting, and of giving up.
        cap: most draws.
    """
    upper = np.stack([certifying(test, p + margin, alpha=alpha, cap=cap) for p in probabilities])
    lower = np.stack([refuting(test, p - margin, beta=beta, cap=cap) for p in probabilities])
    reachable = [min(1.0, most / cap) for most in upper[:, cap].tolist()]  # certified at the cap, if as expected
    slim = np.stack([refuting(test, p, beta=beta, cap=cap) for p in reachable])
    return Boundaries.of(upper, lower, np.maximum(slim, lower))


@dataclass(slots=True)
class RadiusTests:
    """Looks at votes one after the other until every radius is decided.

    Args:
        boundaries: of the radii.
    """

    boundaries: Boundaries
    draws: int = 0
    successes: int = 0
    _certified: NDArray[np.int64] = field(
        init=False
    )  # (K, 2) draws and successes at each rejection; draws cap + 1: none
    _refuted: NDArray[np.int64] = field(init=False)
    _slim: NDArray[np.int64] = field(init=False)
    _stop: int = field(init=False)  # draws after which no radius is waited for; cap + 1 while one is
    _kept: list[tuple[int, int]] = field(init=False, default_factory=list)  # forecasts
    _forecast_at: tuple[int, int, int] | None = field(init=False, default=None)  # after which draws

    def __post_init__(self) -> None:
        """Nothing is decided yet."""
        never = [self.boundaries.cap + 1, 0]
        self._certified = np.array([never] * len(self.boundaries.upper))
        self._refuted, self._slim = self._certified.copy(), self._certified.copy()
        self._stop = self.boundaries.cap + 1

    @property
    def decided(self) -> bool:
        """True if every radius is certified, refuted or given up."""
        return self._stop <= self.draws

    @property
    def finished(self) -> bool:
        """True if no further vote is looked at."""
        return self.decided or self.draws == self.boundaries.cap

    def see(self, hits: NDArray[np.bool_]) -> None:
        """Look at the next votes: whether each is for the selected class. What lies beyond the decision is ignored."""
        hits = hits[: self.boundaries.cap - self.draws]
        if self.finished or not len(hits):
            return
        counts = self.successes + np.cumsum(hits)
        span = slice(self.draws + 1, self.draws + 1 + len(hits))
        for found, reached in (
            (self._certified, counts >= self.boundaries.upper[:, span]),
            (self._refuted, counts <= self.boundaries.lower[:, span]),
            (self._slim, counts <= self.boundaries.slim[:, span]),
        ):
            first = reached.argmax(1)
            new = reached.any(1) & (found[:, 0] > self.boundaries.cap)
            found[new] = np.stack([span.start + first, counts[first]], 1)[new]
        self._stop = int(self._settled().max())
        used = min(len(hits), self._stop - self.draws)
        self.draws += used
        self.successes = int(counts[used - 1])

    def states(self) -> list[State]:
        """Return what is known about each radius now."""
        certified, refuted = self._gated()
        return [
            State.UNDECIDED if min(up, down) > self.draws else State.CERTIFIED if up <= down else State.REFUTED
            for up, down in zip(certified.tolist(), refuted.tolist(), strict=True)
        ]

    def decisions(self, radii: tuple[float, ...]) -> tuple[Decision, ...]:
        """Return what is known about each radius, with the counts that show it."""
        shown = {State.CERTIFIED: self._certified, State.REFUTED: self._refuted}
        undecided = [self.draws, self.successes]
        rows = []
        for index, (radius, state) in enumerate(zip(radii, self.states(), strict=True)):
            draws, successes = shown[state][index].tolist() if state in shown else undecided
            rows.append(Decision(radius=radius, state=state, draws=draws, successes=successes))
        return tuple(rows)

    def ahead(self, votes: int, trials: int) -> int:
        """Return the number of further votes to ask for now.

        All that any decision surely needs; beyond them a part of those expected, but of what is known only an eighth,
        because an early forecast may be far off.

        Args:
            votes: for the class before the sequence began, in the selection.
            trials: draws of the selection.
        """
        if self.finished:
            return 0
        most, trusted = 1, (trials + self.draws) // _TRUST
        for sure, likely in self._forecasts(votes, trials):
            most = max(most, sure - self.draws, min((likely - self.draws) // _PART, trusted))
        return min(most, self._last - self.draws)

    def expected(self, votes: int, trials: int) -> int:
        """Number of further votes that the decision about all radii is expected to take; arguments as for `ahead`."""
        if self.finished:
            return 0
        latest = max(likely for _, likely in self._forecasts(votes, trials))
        return max(1, min(latest, self._last) - self.draws)

    def _gated(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(K,) draws by which each radius and all smaller ones, or all larger ones, are rejected."""
        return np.maximum.accumulate(self._certified[:, 0]), np.maximum.accumulate(self._refuted[::-1, 0])[::-1]

    def _settled(self) -> NDArray[np.int64]:
        """(K,) draws by which a radius is certified, refuted or given up; cap + 1 or more where none of it is known."""
        slim = self._slim[:, 0]
        waited: NDArray[np.int64] = slim + np.ceil(_PATIENCE * slim).clip(min=_LEAST_PATIENCE).astype(np.int64)
        certified, refuted = self._gated()
        return np.minimum(np.minimum(certified, refuted), waited, dtype=np.int64)

    @property
    def _last(self) -> int:
        """No vote after this one is looked at, as far as is known."""
        return min(self._stop, self.boundaries.cap)

    def _forecasts(self, votes: int, trials: int) -> list[tuple[int, int]]:
        """`_forecast` for each open radius; kept until the next vote."""
        if (known := (votes, trials, self.draws)) != self._forecast_at:
            rate = (votes + self.successes + 0.5) / (trials + self.draws + 1)
            open_ = np.flatnonzero(self._settled() > self.draws).tolist()
            self._kept, self._forecast_at = [self._forecast(index, rate) for index in open_], known
        return self._kept

    def _rejected_both(self, index: int) -> bool:
        """True if a radius's two tests contradict each other, so that only other radii are waited for."""
        return bool(max(self._certified[index, 0], self._refuted[index, 0]) <= self.boundaries.cap)

    def _forecast(self, index: int, rate: float) -> tuple[int, int]:
        """Draws before which a radius's own tests cannot reject, and at which they are expected to."""
        bounds, cap, later = self.boundaries, self.boundaries.cap, self.boundaries.times > self.draws
        times = bounds.times[later]
        expected = self.successes + rate * (times - self.draws)
        earliest, likely = (self.draws, self.draws) if self._rejected_both(index) else (cap, cap)
        if self._certified[index, 0] > cap:
            earliest = min(earliest, self._reached(bounds.spare[index], self.draws - self.successes))
            likely = min(likely, _first(times, times - expected <= bounds.spare[index, later], cap))
        if self._slim[index, 0] > cap:
            earliest = min(earliest, self._reached(bounds.floor[index], self.successes))
            likely = min(likely, _first(times, expected <= bounds.floor[index, later], cap))
        elif self._refuted[index, 0] > cap:  # only a refutation is waited for
            earliest, likely = self.draws, _first(times, expected <= bounds.lower[index, times], cap)
        return earliest, likely

    def _reached(self, levels: NDArray[np.int64], count: int) -> int:
        """The last of the times at which `levels` are still below `count`, plus 1."""
        place = int(np.searchsorted(levels, count))
        return int(self.boundaries.times[place - 1]) + 1 if place else 1


def _first(times: NDArray[np.int64], reached: NDArray[np.bool_], otherwise: int) -> int:
    return int(times[reached.argmax()]) if reached.any() else otherwise
