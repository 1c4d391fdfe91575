"""Images enter as uint8 or not at all, wherever they enter."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from oracles import ShapeError
from oracles.pixels import require_images

IMAGES = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)


def test_uint8_images_pass() -> None:
    require_images(IMAGES)
    require_images(IMAGES[0], batch=False)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (IMAGES / 255, r"uint8 \(N, C, H, W\), 0 black and 255 white, got torch.float32 \(2, 1, 8, 8\); .*images_of"),
        (IMAGES.long(), "got torch.int64"),
        (IMAGES[0], r"at least one, got shape \(1, 8, 8\)"),
        (IMAGES[:0], r"at least one, got shape \(0, 1, 8, 8\)"),
        (IMAGES.numpy(), r"a uint8 tensor \(N, C, H, W\), got a ndarray"),
    ],
)
def test_all_else_is_refused_by_a_line_that_names_uint8(images: Any, words: str) -> None:
    with pytest.raises(ShapeError, match=words):
        require_images(images)


def test_a_single_image_has_no_axis_for_a_batch() -> None:
    with pytest.raises(ShapeError, match=r"uint8 \(C, H, W\), at least one, got shape \(2, 1, 8, 8\)"):
        require_images(IMAGES, batch=False)
