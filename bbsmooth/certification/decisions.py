"""Several radii decided by one sequence of votes.

Radius R is certified by rejecting p <= p_R at level alpha and refuted by rejecting p >= p_R at level beta. The nulls
are nested: p_R grows with R. A radius counts as certified only once every smaller one is rejected too, and as refuted
only once every larger one is. Then no error adds up over radii. A false certificate of any size needs the rejection of
the smallest radius whose null is true, which has probability at most alpha; likewise for refutations and beta.
(A fixed-sequence procedure: Maurer, Hothorn, Lehmacher 1995.)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bbsmooth.certification.sequences import OneSidedTest, certifying, refuting

_PART = 3  # so many rounds of questions are expected to lead to the decision
_TRUST = 8  # one vote may be asked for ahead for so many known


class State(StrEnum):
    """What is known about one radius."""

    CERTIFIED = "certified"
    REFUTED = "refuted"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is known about one radius, and the counts at which its own test said so.

    Attributes:
        radius: the question.
        state: the answer.
        draws: after how many estimation draws the test of this radius rejected; all of them if it did not.
        successes: votes for the selected class among those.
    """

    radius: float
    state: State
    draws: int
    successes: int


@dataclass(frozen=True, slots=True, eq=False)
class Boundaries:
    """Where each radius is certified and refuted.

    Attributes:
        upper: (K, cap + 1) fewest successes that certify, by radius (ascending) and draws; t + 1 is never.
        lower: (K, cap + 1) most successes that refute; -1 is never.
        spare: (K, cap + 1) most failures with which a radius can be certified by t.
        floor: (K, cap + 1) fewest successes with which a radius can escape refutation by t, less 1.
        times: some draws, denser where few, at which forecasts look.
    """

    upper: NDArray[np.int64]
    lower: NDArray[np.int64]
    spare: NDArray[np.int64]
    floor: NDArray[np.int64]
    times: NDArray[np.int64]

    @classmethod
    def of(cls, upper: NDArray[np.int64], lower: NDArray[np.int64]) -> Boundaries:
        """With what forecasts need."""
        cap = upper.shape[1] - 1
        return cls(
            upper=upper,
            lower=lower,
            spare=np.maximum.accumulate(np.arange(cap + 1) - upper, axis=1),
            floor=np.maximum.accumulate(lower, axis=1),
            times=np.unique(np.geomspace(1, cap, 300).astype(np.int64)),
        )

    @property
    def cap(self) -> int:
        """Most draws."""
        return int(self.upper.shape[1]) - 1


@lru_cache(maxsize=256)
def boundaries(
    test: OneSidedTest, probabilities: tuple[float, ...], *, margin: float, alpha: float, beta: float, cap: int
) -> Boundaries:
    """The boundaries for several radii.

    Args:
        test: on both sides.
        probabilities: that the radii need, ascending.
        margin: distance between drawn and ideal noise: certifying needs so much more than p_R, refuting so much less.
        alpha: level of certifying.
        beta: level of refuting.
        cap: most draws.
    """
    upper = np.stack([certifying(test, p + margin, alpha=alpha, cap=cap) for p in probabilities])
    lower = np.stack([refuting(test, p - margin, beta=beta, cap=cap) for p in probabilities])
    return Boundaries.of(upper, lower)


@dataclass(slots=True)
class Watch:
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

    def __post_init__(self) -> None:
        """Nothing is decided yet."""
        never = [self.boundaries.cap + 1, 0]
        self._certified = np.array([never] * len(self.boundaries.upper))
        self._refuted = self._certified.copy()

    @property
    def decided(self) -> bool:
        """Whether every radius is."""
        return self._stop <= self.boundaries.cap

    @property
    def finished(self) -> bool:
        """Whether no further vote is looked at."""
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
        ):
            first = reached.argmax(1)
            new = reached.any(1) & (found[:, 0] > self.boundaries.cap)
            found[new] = np.stack([span.start + first, counts[first]], 1)[new]
        used = min(len(hits), self._stop - self.draws)
        self.draws += used
        self.successes = int(counts[used - 1])

    def states(self) -> list[State]:
        """What is known about each radius now."""
        certified, refuted = self._gated()
        return [
            State.UNDECIDED if min(up, down) > self.draws else State.CERTIFIED if up <= down else State.REFUTED
            for up, down in zip(certified.tolist(), refuted.tolist(), strict=True)
        ]

    def decisions(self, radii: tuple[float, ...]) -> tuple[Decision, ...]:
        """What is known about each radius, with the counts that show it."""
        shown = {State.CERTIFIED: self._certified, State.REFUTED: self._refuted}
        undecided = [self.draws, self.successes]
        rows = []
        for index, (radius, state) in enumerate(zip(radii, self.states(), strict=True)):
            draws, successes = shown[state][index].tolist() if state in shown else undecided
            rows.append(Decision(radius=radius, state=state, draws=draws, successes=successes))
        return tuple(rows)

    def ahead(self, votes: int, trials: int) -> int:
        """How many further votes to ask for now.

        All that any decision surely needs; beyond them a part of those expected, but of what is known only an eighth,
        because an early forecast may be far off.

        Args:
            votes: for the class before the sequence began, in the selection.
            trials: draws of the selection.
        """
        if self.finished:
            return 0
        certified, refuted = self._gated()
        open_ = np.minimum(certified, refuted) > self.draws
        rate = (votes + self.successes + 0.5) / (trials + self.draws + 1)
        most, trusted = 1, (trials + self.draws) // _TRUST
        for index in np.flatnonzero(open_).tolist():
            sure, likely = self._forecast(index, rate)
            most = max(most, sure - self.draws, min((likely - self.draws) // _PART, trusted))
        return min(most, self.boundaries.cap - self.draws)

    @property
    def _stop(self) -> int:
        """Draws after which every radius is decided; cap + 1 while one is not."""
        return int(np.minimum(*self._gated()).max())

    def _gated(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(K,) draws by which each radius and all smaller ones, or all larger ones, are rejected."""
        return np.maximum.accumulate(self._certified[:, 0]), np.maximum.accumulate(self._refuted[::-1, 0])[::-1]

    def _rejected_both(self, index: int) -> bool:
        """Whether a radius's two tests contradict each other, so that only other radii are waited for."""
        return bool(max(self._certified[index, 0], self._refuted[index, 0]) <= self.boundaries.cap)

    def _forecast(self, index: int, rate: float) -> tuple[int, int]:
        """The earliest and the expected number of draws at which a radius's own tests reject."""
        bounds, cap, later = self.boundaries, self.boundaries.cap, self.boundaries.times > self.draws
        times = bounds.times[later]
        expected = self.successes + rate * (times - self.draws)
        earliest, likely = (self.draws, self.draws) if self._rejected_both(index) else (cap, cap)
        if self._certified[index, 0] > cap:
            earliest = min(earliest, int(np.searchsorted(bounds.spare[index], self.draws - self.successes)))
            likely = min(likely, _first(times, times - expected <= bounds.spare[index, times], cap))
        if self._refuted[index, 0] > cap:
            earliest = min(earliest, int(np.searchsorted(bounds.floor[index], self.successes)))
            likely = min(likely, _first(times, expected <= bounds.floor[index, times], cap))
        return earliest, likely


def _first(times: NDArray[np.int64], reached: NDArray[np.bool_], otherwise: int) -> int:
    return int(times[reached.argmax()]) if reached.any() else otherwise
