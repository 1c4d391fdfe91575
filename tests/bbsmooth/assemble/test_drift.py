from dataclasses import dataclass

import pytest
import torch

from bbsmooth.assemble.drift import CanaryImages, Watching
from bbsmooth.noise import Grid
from bbsmooth.settings.common import DriftConfig, SmoothingConfig
from tests.builders import pictures

IMAGES = pictures(10, seed=3)
SMOOTHING = SmoothingConfig(sigma=0.5, noise="gaussian", coordinator=None, seed=1)


def source(among: int, bits: int = 8) -> CanaryImages:
    return CanaryImages(image=IMAGES.__getitem__, among=among, smoothing=SMOOTHING, grid=Grid(bits))


def test_canaries_are_clean_and_noisy_in_turn_and_evenly_spaced() -> None:
    chosen = source(10).choose(5)
    for number, place in enumerate([0, 2, 4, 6, 8]):
        clean = torch.equal(chosen[number], IMAGES[place].float() / 255)
        assert clean == (number % 2 == 0)
        assert (chosen[number] - IMAGES[place].float() / 255).abs().mean() < 1


@pytest.mark.parametrize("among", [1, 2, 3, 10])
@pytest.mark.parametrize("bits", [0, 8])
def test_canaries_differ_from_each_other_however_few_images_there_are(among: int, bits: int) -> None:
    chosen = source(among, bits).choose(8)
    assert len({image.numpy().tobytes() for image in chosen}) == 8
    assert chosen.dtype == (torch.float32 if bits else torch.uint8)
    assert torch.equal(chosen, source(among, bits).choose(8))


@dataclass
class Scale:
    """As much as a watch shows to those who wait."""

    written: int = 0
    committed: int = 0


def test_results_wait_for_their_answers_and_keep_their_order() -> None:
    scale, released = Scale(), list[str]()
    held = Watching(scale).hold(released.append)  # type: ignore[arg-type]
    held.add("rests on nothing new")
    scale.written = 3
    held.add("rests on three answers")
    held.add("on the same")
    scale.written = 5
    held.add("on five")
    assert released == ["rests on nothing new"]
    scale.committed = 2
    held.flush()
    assert len(released) == 1
    scale.committed = 3
    held.flush()
    assert released[1:] == ["rests on three answers", "on the same"]
    scale.committed = 5
    held.add("on five, too")
    assert released[3:] == ["on five", "on five, too"]


@pytest.mark.parametrize(
    ("canaries", "remote", "number"), [(None, True, 8), (None, False, 0), (3, False, 3), (0, True, 0)]
)
def test_remote_models_have_canaries_unless_told_otherwise(canaries: int | None, remote: bool, number: int) -> None:
    assert DriftConfig(canaries=canaries).number(remote) == number
