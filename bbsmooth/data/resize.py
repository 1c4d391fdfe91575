"""From a picture to a tensor, and to the shape that an oracle wants."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from bbsmooth.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

IMAGENET_MARGIN = Fraction(256, 224)


def to_tensor(picture: Image.Image | NDArray[np.uint8]) -> Tensor:
    """(C, H, W) uint8 of a picture, or of an array (H, W) or (H, W, C); one channel for mode "L", three for "RGB"."""
    import torch

    pixels = torch.from_numpy(np.array(picture))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1).contiguous()


def fit(picture: Image.Image, shape: tuple[int, int, int], margin: Fraction) -> Image.Image:
    """A picture of the wanted shape: channels first, then the smallest bilinear resize that covers it, then the centre.

    Grey becomes RGB by repetition, RGB becomes grey by Pillow's "L" (ITU-R 601-2 luma). Pillow's bilinear filter is
    antialiased. For a square shape the resize is the usual one of the shorter side.

    Args:
        picture: of mode "L" or "RGB".
        shape: (C, H, W).
        margin: how much larger than the crop the resized picture is; 1 cuts off no more than it must.

    Raises:
        DataError: neither one nor three channels are wanted.
    """
    channels, height, width = shape
    if channels not in (1, 3):
        raise DataError(f"images can be converted to 1 or 3 channels, not to the {channels} of {shape}")
    picture = picture.convert("L" if channels == 1 else "RGB")
    picture = picture.resize(_cover(picture.size, int(width * margin), int(height * margin)), Image.Resampling.BILINEAR)
    left, top = round((picture.width - width) / 2), round((picture.height - height) / 2)
    return picture.crop((left, top, left + width, top + height))


def _cover(size: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    """The smallest (width, height) of the same aspect ratio that covers the wanted one."""
    if size[0] * height <= size[1] * width:
        return width, size[1] * width // size[0]
    return size[0] * height // size[1], height
