"""Attacks, and the adversarial examples that they find."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor

from bbsmooth.attacks.target import ORDER, SmoothedTarget, distance
from bbsmooth.certification import Prediction
from oracles.pixels import require_images


class Attack(Protocol):
    """A way of looking for an image nearby that the smoothed classifier answers differently."""

    name: ClassVar[str]

    def candidates(self, target: SmoothedTarget, image: Tensor, label: int, *, seed: int) -> Iterator[Tensor]:
        """Images (C, H, W) uint8 that might be answered differently, the most promising first.

        Args:
            target: what may be asked.
            image: (C, H, W) uint8.
            label: its smoothed class.
            seed: of every draw of the attack.

        Raises:
            BudgetExhausted: the queries for the search do not fit.
        """
        ...


@dataclass(frozen=True, slots=True)
class AdversarialExample:
    """A perturbed image that is answered differently.

    Attributes:
        image: (C, H, W) uint8.
        norm: L2 distance from the original, white being 1.
        prediction: the judgement; its label is not the original's.
    """

    image: Tensor
    norm: float
    prediction: Prediction


def nearest(
    attack: Attack, target: SmoothedTarget, image: Tensor, label: int, *, seed: int
) -> AdversarialExample | None:
    """The nearest candidate that the judge confirms, None where it does not even confirm the farthest.

    Next to the boundary the judge abstains, so the farthest is judged first and the nearest sought by bisection.

    Raises:
        ShapeError: `image` is not (C, H, W) uint8.
    """
    require_images(image, batch=False)
    candidates = sorted(attack.candidates(target, image, label, seed=seed), key=lambda one: distance(one, image, ORDER))
    best: AdversarialExample | None = None
    first, last = 0, len(candidates)
    middle = last - 1
    while first < last:
        found = _judged(target, candidates[middle], image, label)
        if found is None:
            first = middle + 1
        else:
            best, last = found, middle
        middle = (first + last) // 2
    return best


def _judged(target: SmoothedTarget, candidate: Tensor, image: Tensor, label: int) -> AdversarialExample | None:
    prediction = target.judge(candidate)
    if prediction.label in (None, label):
        return None
    return AdversarialExample(candidate, distance(candidate, image, ORDER), prediction)
