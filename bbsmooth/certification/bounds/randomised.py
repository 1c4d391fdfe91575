"""The randomised Clopper-Pearson bound: for a fixed number of trials the tightest there is."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.special import betainc

from bbsmooth.certification.bounds.clopper_pearson import SMALLEST, ClopperPearson
from bbsmooth.certification.sequences.solving import last_rejected


@dataclass(frozen=True, slots=True)
class RandomisedClopperPearson:
    """The bound for a fixed number of trials whose error is exactly alpha at every rate, not at most alpha.

    A uniform number, drawn once and before the count is known, spreads the atoms of the binomial law (Stevens 1950).

    Args:
        uniform: in (0, 1), from a stream of the image's own: a number chosen afterwards would void the bound.

    Raises:
        ValueError: `uniform` outside (0, 1).
    """

    uniform: float

    def __post_init__(self) -> None:
        """Refuse what is no draw."""
        if not 0 < self.uniform < 1:
            raise ValueError(f"uniform must lie between 0 and 1, got {self.uniform}")

    def lower(self, successes: int, trials: int, *, alpha: float) -> float:
        """The rate p at which P[X > successes] + uniform P[X = successes] = `alpha`, X ~ Binomial(trials, p).

        Below `SMALLEST` the bound of `ClopperPearson`, which is lower.

        Raises:
            ValueError: counts that cannot be, or `alpha` outside (0, 1).
        """
        if not (trials > 0 and 0 <= successes <= trials):
            raise ValueError(f"a bound needs 0 <= successes <= trials and trials > 0, got {successes} of {trials}")
        if not 0 < alpha < 1:
            raise ValueError(f"alpha must lie between 0 and 1, got {alpha}")
        if alpha < SMALLEST:
            return ClopperPearson().lower(successes, trials, alpha=alpha)
        return last_rejected(lambda p: self._tail(successes, trials, p) <= alpha, highest=1.0)

    def _tail(self, successes: int, trials: int, p: float) -> float:
        """The sum uniform P[X >= successes] + (1 - uniform) P[X > successes]."""
        at_least = 1.0 if successes == 0 else float(betainc(successes, trials - successes + 1, p))
        more = 0.0 if successes == trials else float(betainc(successes + 1, trials - successes, p))
        return self.uniform * at_least + (1 - self.uniform) * more
