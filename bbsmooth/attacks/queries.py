"""A decision-based attack of the foolbox library on answers alone, each the majority of a few votes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bbsmooth.attacks.target import ORDER, WHITE, SmoothedTarget, beyond, distance, on_grid
from bbsmooth.errors import UsageError
from bbsmooth.randomness import image_digest, name_digest

_KEPT = 0
"""What foolbox is told for an image that is still answered as the original."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HopSkipJump:
    """HopSkipJumpAttack (Chen, Jordan, Wainwright, S&P 2020) in the L2 norm.

    Args:
        steps: of the walk along the decision boundary.
        evaluations: answers behind the first estimate of the boundary's direction; later ones take more.
    """

    steps: int
    evaluations: int
    name: ClassVar[str] = "hopskipjump"

    def candidates(self, target: SmoothedTarget, image: Tensor, label: int, *, seed: int) -> Iterator[Tensor]:
        """Candidates, as `Attack` says: the nearest image that was answered differently, and those behind it."""
        foolbox = import_foolbox()
        attack = foolbox.attacks.HopSkipJumpAttack(
            steps=self.steps,
            initial_gradient_eval_steps=self.evaluations,
            max_gradient_eval_steps=4 * self.evaluations,
            init_attack=foolbox.attacks.LinearSearchBlendedUniformNoiseAttack(directions=20, steps=50),
        )
        crossed = _walk(foolbox, attack, target, image, label, seed)
        if crossed:
            yield from beyond(image, min(crossed, key=lambda one: distance(one, image, ORDER)))


def import_foolbox() -> Any:
    """The library.

    Raises:
        UsageError: it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import foolbox
    except ImportError:
        raise UsageError("query attacks need `pip install 'bbsmooth[attack]'`") from None
    return foolbox


def _walk(foolbox: Any, attack: Any, target: SmoothedTarget, image: Tensor, label: int, seed: int) -> list[Tensor]:
    """Every image (C, H, W) uint8 on the attack's way that was answered differently."""
    shown = _FoolboxModel(target, image, label)
    start = image[None].float() / WHITE
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int.from_bytes(name_digest(seed, "attack", image_digest(image))[:7], "big"))
        model = foolbox.models.PyTorchModel(shown.eval(), bounds=(0, 1), device="cpu")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the library tells of failing to begin twice, see below
            try:
                attack(model, start, torch.tensor([_KEPT]), epsilons=None)
            except ValueError:
                if shown.crossed:
                    raise  # else no blend with noise was answered differently, so that the walk cannot begin
    return shown.crossed


class _FoolboxModel(nn.Module):
    """The smoothed classifier as foolbox takes one: images to scores, here of two classes, `_KEPT` and any other.

    Attributes:
        crossed: images (C, H, W) uint8 that were answered differently from `label`.
    """

    def __init__(self, target: SmoothedTarget, image: Tensor, label: int) -> None:
        super().__init__()
        self.crossed: list[Tensor] = []
        self._target, self._image, self._label = target, image, label

    def forward(self, images: Tensor) -> Tensor:
        shown = on_grid(self._image.expand(len(images), -1, -1, -1), images)
        turned = self._target.misclassified(shown, self._label)
        self.crossed.extend(shown[turned])
        return F.one_hot(turned.long(), num_classes=2).float()
