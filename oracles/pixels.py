"""The one form of images: 8 bits a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oracles.errors import ShapeError

if TYPE_CHECKING:
    from torch import Tensor


def require_images(images: Tensor, *, batch: bool = True) -> None:
    """Refuse what is not uint8 images. Floats in [0, 1] would silently pass for nearly black ones.

    Args:
        images: (N, C, H, W), or (C, H, W) for a single image.
        batch: whether it is a batch.

    Raises:
        ShapeError: another type or number of axes, or no image.
    """
    import torch

    wanted = "(N, C, H, W)" if batch else "(C, H, W)"
    if not isinstance(images, torch.Tensor):
        raise ShapeError(f"images must be a uint8 tensor {wanted}, got a {type(images).__name__}")
    shape = tuple(images.shape)
    if images.dtype != torch.uint8:
        raise ShapeError(
            f"images must be uint8 {wanted}, 0 black and 255 white, got {images.dtype} {shape}; "
            "`bbsmooth.data.images_of` converts floats that are k / 255"
        )
    if len(shape) != (4 if batch else 3) or 0 in shape:
        raise ShapeError(f"images must be uint8 {wanted}, at least one, got shape {shape}")
