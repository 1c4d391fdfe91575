"""Empirical robust accuracy beside certified accuracy, and the alarm if the two contradict each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bbsmooth.certification.accuracy import Share, share


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackResult:
    """One image after an attack.

    Attributes:
        index: of the image in the data.
        correct: whether its smoothed class is its label; None without labels.
        radius: L2 radius that is certified, None for an abstention.
        found: distance of the nearest image that is answered differently, None where none was found.
    """

    index: int
    correct: bool | None
    radius: float | None
    found: float | None

    @property
    def contradiction(self) -> bool:
        """True where something was found inside the certified radius, which nobody may find."""
        return self.radius is not None and self.found is not None and self.found < self.radius


def empirical_accuracy(images: Sequence[AttackResult], radius: float, *, confidence: float) -> Share:
    """Share of images whose class is right and was not turned at a distance below `radius`.

    It bounds the true share from above, as certified accuracy does from below; both speak of the open ball. Images
    without labels count as right: then it is the share of answers that were not turned.
    """
    held = [image.correct is not False and not (image.found is not None and image.found < radius) for image in images]
    return share(sum(held), len(held), confidence=confidence)
