from dataclasses import replace

import pytest
import torch
from torch import Tensor

from bbsmooth.noise import Gaussian, Grid
from bbsmooth.randomness import fork
from bbsmooth.tuning import CrossEntropy, NoisyImages, SurrogateDescent
from tests.bbsmooth.tuning.test_tune import BRIGHT, IMAGES, Gamma

WALK = SurrogateDescent(steps=60, learning_rate=0.02, anchor=0.0, batch_size=20)


def classifier(images: Tensor) -> Tensor:
    """Sure of class 1 for what is brighter than 1/2."""
    bright = 20 * (images.flatten(1).mean(1) - 0.5)
    return torch.stack([-bright / 2, bright / 2], 1)


def walked(descent: SurrogateDescent, seed: int = 0) -> Tensor:
    data = NoisyImages(images=IMAGES, labels=BRIGHT, noise=Gaussian(0.3), grid=Grid(1), seed=0, purpose="test")
    start = Gamma().initial_parameters()
    found = descent.run(
        start, coordinator=Gamma(), classifier=classifier, loss=CrossEntropy(), data=data, generator=fork(seed)
    )
    assert torch.equal(start, Gamma().initial_parameters())
    return found


def test_it_goes_where_the_classifier_is_right() -> None:
    # Too dark by 0.3 at the start; images are 0.31 and 0.69 bright, so no shift is best.
    assert walked(WALK)[0].item() == pytest.approx(0, abs=0.15)


def test_the_anchor_pulls_towards_the_clean_image() -> None:
    # The squared error alone is least without noise: contrast below 1, where the classifier alone wants more.
    free, anchored = walked(WALK), walked(replace(WALK, anchor=100.0))
    assert anchored[1] < free[1]


def test_a_generator_decides_everything() -> None:
    assert torch.equal(walked(WALK), walked(WALK))
    assert not torch.equal(walked(WALK), walked(WALK, seed=1))


@pytest.mark.parametrize("changed", [{"steps": 0}, {"learning_rate": 0.0}, {"anchor": -1.0}], ids=str)
def test_standing_still_is_refused(changed: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        replace(WALK, **changed)  # type: ignore[arg-type]
