"""A way of certifying as a value: its settings, and what it makes of the votes of one image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from bbsmooth.certification.verdict import Outcome
from bbsmooth.noise import NoiseDistribution, Smoothing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Result of the selection draws of one image.

    Attributes:
        selected: the class.
        votes: for it.
        total_variation: distance between drawn and ideal noise of the whole image.
        uniform: number in (0, 1) from a stream of the image's own, for bounds that need one; else 1.
    """

    selected: int
    votes: int
    total_variation: float
    uniform: float = 1.0


class Judge(Protocol):
    """Looks at the estimation votes of one image in the order of their draws, until it has seen enough.

    What it says depends on the votes alone, never on how many of them came at once.
    """

    @property
    def draws(self) -> int:
        """Votes looked at so far."""
        ...

    @property
    def finished(self) -> bool:
        """True if no further vote is looked at."""
        ...

    @property
    def needed(self) -> int:
        """Votes without which there is no verdict, those looked at included."""
        ...

    @property
    def until(self) -> int:
        """Draws to ask about now, those looked at included; at least `needed`."""
        ...

    @property
    def expected(self) -> float:
        """Further votes that the verdict is expected to take."""
        ...

    def see(self, hits: NDArray[np.bool_]) -> None:
        """Look at the next votes: whether each is for the selected class. What comes after the verdict is ignored."""
        ...

    def outcome(self, counts: Counter[int]) -> Outcome:
        """The verdict, once finished, with `counts`: the votes of each class among those looked at."""
        ...


class Terms(Protocol):
    """Settings on which the meaning of a certificate depends, however the votes come about."""

    name: ClassVar[str]

    @property
    def noise(self) -> Smoothing:
        """Noise that is smoothed with."""
        ...

    @property
    def num_selection(self) -> int:
        """Draws that choose the class (n0)."""
        ...

    @property
    def max_estimation(self) -> int:
        """Most fresh draws that bound its probability (n)."""
        ...

    @property
    def alpha(self) -> float:
        """Probability, over the draws, that a certificate is wrong."""
        ...

    @property
    def largest_radius(self) -> float:
        """No certificate has a larger radius."""
        ...

    @property
    def terms(self) -> Mapping[str, float | str]:
        """Entries in the line of a certificate for the settings besides those above."""
        ...

    def follows(self, outcome: Outcome) -> bool:
        """True if `outcome` is what these settings make of the counts in it."""
        ...


class Plan(Terms, Protocol):
    """Settings of a certification by selection draws and a judge of fresh ones."""

    @property
    def noise(self) -> NoiseDistribution:
        """The smoothing distribution."""
        ...

    def judge(self, selection: Selection) -> Judge:
        """Return the judge of the votes of one image."""
        ...
