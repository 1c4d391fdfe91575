"""Every function that takes images refuses what is not uint8, before anything is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from bbsmooth.attacks.attack import nearest
from bbsmooth.certification import VoteSource
from bbsmooth.coordinator import CleanedImage, FilmSpace, PretrainPlan, pretrain
from bbsmooth.noise import Gaussian, Grid, NoisyCopies
from bbsmooth.tuning import TunePlan, tune
from bbsmooth.tuning.objective import clean_labels
from oracles import Feedback, Purpose, ShapeError

NOISE = Gaussian(0.5)
IMAGES = torch.full((4, 1, 8, 8), 230, dtype=torch.uint8)


def unreachable(*arguments: Any, **options: Any) -> Any:
    raise AssertionError("an oracle was asked about images that are none")


def voted(images: Tensor) -> None:
    copies = NoisyCopies(noise=NOISE, grid=Grid(1), seed=0)
    source = VoteSource(oracles={}, log=unreachable, copies=copies)  # type: ignore[arg-type]
    source.stream(images[0], Purpose.SELECT)


def pretrained(images: Tensor) -> None:
    pretrain(images, noise=NOISE, form=CleanedImage(), space=FilmSpace(), plan=PretrainPlan(epochs=1), seed=0)


def tuned(images: Tensor) -> None:
    tune(
        unreachable,  # type: ignore[arg-type]
        images,
        torch.zeros(len(images), dtype=torch.int64),
        noise=NOISE,
        grid=Grid(1),
        plan=TunePlan.__new__(TunePlan),
        queries=100,
        seed=0,
        feedback=Feedback.LABELS,
        ask=unreachable,
    )


def attacked(images: Tensor) -> None:
    nearest(unreachable, unreachable, images[0], 0, seed=0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "border", [voted, pretrained, tuned, attacked, lambda images: clean_labels(images, unreachable)]
)
@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.int64, torch.bool])
def test_only_uint8_enters(border: Callable[[Tensor], None], kind: torch.dtype) -> None:
    images = IMAGES / 255 if kind.is_floating_point else IMAGES
    with pytest.raises(ShapeError, match="images must be uint8 .*got torch"):
        border(images.to(kind))
