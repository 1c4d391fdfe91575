"""The images that tuning learns from, and what counts as the truth about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bbsmooth import data
from bbsmooth.assemble.labels import match_labels
from bbsmooth.errors import UsageError
from bbsmooth.randomness import fork
from bbsmooth.tuning import Ask, QueryExecutor, affordable, clean_labels
from oracles import Classes


@dataclass(frozen=True, slots=True, eq=False)
class TuningImages:
    """Images, and their labels where they are known.

    Attributes:
        pixels: (N, C, H, W) uint8.
        labels: (N,) the oracle's class numbers; None where the oracle's own answers shall count, or nothing is asked.
        indices: (N,) their places in the split.
    """

    pixels: Tensor
    labels: Tensor | None
    indices: Sequence[int] = ()

    def within(self, queries: int) -> TuningImages:
        """Those that a budget is spent on: all where labels are known, else as many as may be asked about first."""
        return self if self.labels is not None else self._first(affordable(queries))

    def _first(self, count: int) -> TuningImages:
        return TuningImages(self.pixels[:count], None, self.indices[:count])

    def cost(self, queries: int) -> int:
        """Queries, of a budget, that the truth costs."""
        return 0 if self.labels is not None else len(self.within(queries).pixels)

    def truth(self, ask: Ask, executor: QueryExecutor) -> Tensor:
        """(N,) class numbers; asks the oracle about each image where there are no labels."""
        return clean_labels(self.pixels, ask, executor) if self.labels is None else self.labels


def tuning_images(
    dataset: data.ImageSet,
    classes: Classes,
    *,
    most: int,
    shots: int | None,
    labelled: bool,
    seed: int,
    order: str | None = None,
) -> TuningImages:
    """The first images of the split, or a few of each class.

    Args:
        dataset: the split.
        classes: of the oracle.
        most: images that are used.
        shots: labelled images of each class, at random; None for all.
        labelled: whether labels count; neither the oracle's answers in their place, nor nothing without a question.
        seed: chooses the few.
        order: see `match_labels`.

    Raises:
        UsageError: labels are needed and not there, or a class has fewer images than `shots`.
    """
    indices = list(range(min(most, len(dataset))))
    if not labelled and shots is None:
        return TuningImages(dataset.images(indices), None, indices)
    if dataset.classes is None and shots is not None:
        raise UsageError(
            f"{dataset.name} has no labels, and `shots` counts images of each class; use one folder per class, or "
            "leave `shots` out"
        )
    if dataset.classes is None:
        raise UsageError(
            f"{dataset.name} has no labels, and tuning needs them; use one folder per class, or `objective` agreement"
        )
    found = dataset.labels(indices)
    if shots is not None:
        indices = few(found, shots, len(dataset.classes), seed)
        found = found[indices]
    if not labelled:
        return TuningImages(dataset.images(indices), None, indices)
    names = match_labels(dataset.classes, classes, order)
    numbers = torch.tensor([name if isinstance(name, int) else classes.number(name) for name in names])
    return TuningImages(dataset.images(indices), numbers[found], indices)


def few(labels: Tensor, shots: int, num_classes: int, seed: int) -> list[int]:
    """`shots` positions of each of `num_classes` labels (N,), at random, in order.

    Raises:
        UsageError: a class has fewer.
    """
    chosen: list[int] = []
    for number in range(num_classes):
        own = (labels == number).nonzero().flatten()
        if len(own) < shots:
            raise UsageError(f"`shots` {shots} needs as many images of each class, one has {len(own)}; lower it")
        chosen += own[torch.randperm(len(own), generator=fork(seed, "shots", number))[:shots]].tolist()
    return sorted(chosen)
