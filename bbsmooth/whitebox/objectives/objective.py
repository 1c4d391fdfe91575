"""The protocol of training objectives."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Protocol

from torch import Tensor

from bbsmooth.whitebox.noising import Noising

Model = Callable[[Tensor], Tensor]
"""From images (B, C, H, W), white at 1 and not clipped, to logits (B, K)."""


class TrainingObjective(Protocol):
    """A loss of a classifier under noise. Frozen settings."""

    name: ClassVar[str]

    def loss(self, model: Model, images: Tensor, labels: Tensor, noising: Noising, *, trained: float) -> Tensor:
        """The mean loss over a batch, a scalar with a gradient.

        Args:
            model: the classifier.
            images: (B, C, H, W) clean, in [0, 1].
            labels: (B,) int64.
            noising: what is added to them.
            trained: share of the training that is done, 0 to 1.
        """
        ...


def copies(images: Tensor, count: int) -> Tensor:
    """(count * B, C, H, W): the batch, `count` times over."""
    return images.repeat(count, 1, 1, 1)


def by_draw(values: Tensor, count: int) -> Tensor:
    """(count, B, K): what came out for `copies`, one row of it a copy of the batch."""
    return values.view(count, -1, values.shape[-1])
