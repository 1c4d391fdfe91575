from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from bbsmooth.data import DataError
from bbsmooth.data.resize import IMAGENET_MARGIN, fit, to_tensor

WHOLE = Fraction(1)


def picture(width: int, height: int, *, channels: int = 3, seed: int = 0) -> Image.Image:
    shape = (height, width) if channels == 1 else (height, width, channels)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def test_tensors_have_channels_first() -> None:
    tensor = to_tensor(Image.new("RGB", (5, 4), (1, 2, 3)))
    assert tensor.shape == (3, 4, 5)
    assert tensor.dtype == torch.uint8
    assert tensor.is_contiguous()
    assert tensor[:, 3, 4].tolist() == [1, 2, 3]
    assert to_tensor(Image.new("L", (5, 4), 7)).shape == (1, 4, 5)


def test_a_picture_of_the_wanted_shape_is_kept() -> None:
    original = picture(9, 7)
    assert torch.equal(to_tensor(fit(original, (3, 7, 9), WHOLE)), to_tensor(original))


def test_grey_becomes_rgb_by_repetition() -> None:
    grey = picture(6, 6, channels=1)
    assert torch.equal(to_tensor(fit(grey, (3, 6, 6), WHOLE)), to_tensor(grey).expand(3, 6, 6))


def test_rgb_becomes_grey_by_luma() -> None:
    colours = Image.new("RGB", (1, 1), (200, 100, 50))
    luma = (200 * 299 + 100 * 587 + 50 * 114) / 1000
    assert abs(int(to_tensor(fit(colours, (1, 1, 1), WHOLE))) - luma) <= 0.5


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (256, 256), (1000, 257), (200, 301), (40, 30)])
def test_imagenet_preprocessing_is_torchvisions(size: tuple[int, int]) -> None:
    original = picture(*size)
    standard = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), transforms.PILToTensor()])
    assert torch.equal(to_tensor(fit(original, (3, 224, 224), IMAGENET_MARGIN)), standard(original))


@pytest.mark.parametrize("size", [(33, 50), (50, 33), (20, 20)])
def test_without_margin_the_shorter_side_is_resized(size: tuple[int, int]) -> None:
    original = picture(*size)
    standard = transforms.Compose([transforms.Resize(28), transforms.CenterCrop(28), transforms.PILToTensor()])
    assert torch.equal(to_tensor(fit(original, (3, 28, 28), WHOLE)), standard(original))


@pytest.mark.parametrize("shape", [(3, 10, 40), (3, 40, 10), (1, 1, 7)])
def test_shapes_that_are_not_square(shape: tuple[int, int, int]) -> None:
    assert to_tensor(fit(picture(33, 21), shape, WHOLE)).shape == shape


def test_other_numbers_of_channels_are_refused() -> None:
    with pytest.raises(DataError, match="1 or 3 channels"):
        fit(picture(4, 4), (4, 4, 4), WHOLE)
