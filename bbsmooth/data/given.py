"""Images that a user holds in Python: arrays, tensors, lists of them, and data sets of other libraries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bbsmooth.data.image_set import ImageSet, Split
from bbsmooth.data.in_memory import GivenImages
from bbsmooth.data.labels import read_labels
from bbsmooth.data.pictures import as_picture
from bbsmooth.data.resize import to_tensor
from bbsmooth.errors import DataError, one_line
from oracles.errors import ShapeError

_NAME = "images"
_FLOATS = (torch.float16, torch.float32, torch.float64)
_ITEM_KEYS = ("image", "img", "pixel_values", "label", "labels")
_STEPS_OF_FLOAT = 4  # rounding errors that two ways of dividing by 255 may differ by


def images_of(
    images: Any,
    labels: Any = None,
    *,
    classes: Sequence[str] | None = None,
    limit: int | None = None,
    split: Split = Split.TEST,
) -> ImageSet:
    """The images that a user holds, as a data set of 8-bit images.

    A data set of ours is taken as it is. All else is read into memory, and labels that come with it are used unless
    `labels` are given.

    Args:
        images: NumPy array or torch tensor (N, C, H, W); a list of (C, H, W) arrays or tensors, or of pictures; a data
            set of torchvision or any with items (image, label); a `datasets.Dataset` of Hugging Face. Values are uint8,
            or floats that are k / 255.
        labels: one an image, whole numbers or names; see `read_labels`.
        classes: names of the labels, in the order of their numbers.
        limit: images that are read, from the first; None for all.
        split: which split they count as.

    Raises:
        ShapeError: other shapes or values.
        DataError: labels that are none, or a row without a readable image.
    """
    if isinstance(images, ImageSet):
        if labels is not None or classes is not None:
            raise DataError(f"{images.name} is a data set with labels of its own; leave `labels` and `classes` out")
        return images
    pixels, own, names = _read(images, limit)
    labels = own if labels is None else labels[:limit]
    if labels is None:
        return GivenImages.of(_NAME, split, pixels)
    found = read_labels(labels, images=len(pixels), place="`labels`", names=tuple(classes) if classes else names)
    return GivenImages.of(_NAME, split, pixels, found.targets, found.classes)


def as_uint8(images: Tensor, place: str = _NAME) -> Tensor:
    """The same images as uint8: uint8 itself, or floats that are k / 255.

    Args:
        images: of any shape.
        place: of the images, for an error.

    Raises:
        ShapeError: another type, or a value between the 256.
    """
    if images.dtype == torch.uint8:
        return images
    if images.dtype not in _FLOATS:
        raise ShapeError(f"{place} must be uint8 (or floats that are k / 255), got {images.dtype}; {_cast(images)}")
    nearest = (images.double() * 255).round()
    exact = (images - (nearest / 255).to(images.dtype)).abs() <= _STEPS_OF_FLOAT * torch.finfo(images.dtype).eps
    if not bool((exact & (nearest >= 0) & (nearest <= 255)).all()):  # NaN is neither
        low, high = (float(images.min()), float(images.max())) if images.numel() else (0.0, 0.0)
        raise ShapeError(
            f"{place} must be uint8, or floats that are exactly k / 255, got {images.dtype} from {low:.4g} to "
            f"{high:.4g}; give the pixels as they are stored, before any normalisation"
        )
    return nearest.to(torch.uint8)


def _cast(images: Tensor) -> str:
    if images.dtype == torch.bfloat16:
        return "bfloat16 does not hold all 256 values, give the pixels as they are stored"
    return "if 0 is black and 255 white, convert them to uint8"


def _read(images: Any, limit: int | None) -> tuple[Tensor, Any, tuple[str, ...] | None]:
    """(N, C, H, W) uint8, and labels and class names where they come along."""
    if limit is not None and limit < 1:
        raise DataError(f"`limit` must be at least 1 image, got {limit}")
    if isinstance(images, Tensor | np.ndarray):
        return _batch(images, limit), None, None
    if _is_huggingface(images):
        from bbsmooth.data.tables import source_of_rows  # here, because it is an optional extra

        source = source_of_rows(images, _NAME)
        count = _count(source, limit)
        pixels = _stack([source.tensor(index) for index in range(count)])
        return pixels, None if source.targets is None else source.targets[:count], source.classes
    if not hasattr(images, "__len__") or not hasattr(images, "__getitem__"):
        raise ShapeError(
            f"images must be an array, a tensor, a list of them or a data set with a length, got {_kind(images)}; "
            "uint8 (N, C, H, W) is the plain form"
        )
    items = [_item(images, index) for index in range(_count(images, limit))]
    if isinstance(images, list | tuple):
        return _stack([_one(item, index) for index, item in enumerate(items)]), None, None
    return _of_items(items, images)


def _item(images: Any, index: int) -> Any:
    try:
        return images[index]
    except Exception as error:  # whatever a user's data set raises
        raise DataError(f"item {index} of the data set cannot be read ({one_line(error)})") from error


def _count(images: Any, limit: int | None) -> int:
    count = len(images) if limit is None else min(limit, len(images))
    if count == 0:
        raise ShapeError("there are no images; give at least one, uint8 (C, H, W)")
    return count


def _batch(images: Any, limit: int | None) -> Tensor:
    tensor = _tensor(images)
    if tensor.ndim != 4:
        hint = "add the axis of channels with images[:, None], or that of the batch with images[None]"
        raise ShapeError(
            f"images must be uint8 of shape (N, C, H, W), got {tuple(tensor.shape)}"
            + (f"; {hint}" if tensor.ndim == 3 else "")
        )
    if tensor.shape[3] in (1, 3) and tensor.shape[1] not in (1, 3):
        raise ShapeError(
            f"images must be uint8 of shape (N, C, H, W), got {tuple(tensor.shape)} with the channels last; move them "
            "with images.transpose(0, 3, 1, 2) in NumPy, images.permute(0, 3, 1, 2) in torch"
        )
    if 0 in tensor.shape:
        raise ShapeError(f"there are no images in shape {tuple(tensor.shape)}; give at least one, uint8 (N, C, H, W)")
    return as_uint8(tensor[:limit]).contiguous()


def _tensor(images: Any) -> Tensor:
    if isinstance(images, Tensor):
        return images.detach().cpu()
    if images.dtype.kind not in "buif" or images.dtype.itemsize > 8:
        raise ShapeError(f"images must be uint8 (or floats that are k / 255), got an array of type {images.dtype}")
    return torch.from_numpy(np.ascontiguousarray(images.astype(images.dtype.newbyteorder("="))))


def _one(image: Any, index: int) -> Tensor:
    """(C, H, W) uint8."""
    place = f"image {index}"
    if isinstance(image, Image.Image):
        return to_tensor(as_picture(image, place))
    if not isinstance(image, Tensor | np.ndarray):
        raise ShapeError(f"{place} must be a tensor, an array or a picture, uint8 (C, H, W), got {_kind(image)}")
    tensor = _tensor(image)
    if tensor.ndim != 3 or 0 in tensor.shape or (tensor.shape[2] in (1, 3) and tensor.shape[0] not in (1, 3)):
        raise ShapeError(f"{place} must be uint8 of shape (C, H, W), got {tuple(tensor.shape)}")
    return as_uint8(tensor, place)


def _stack(images: list[Tensor]) -> Tensor:
    for index, image in enumerate(images):
        if image.shape != images[0].shape:
            raise ShapeError(
                f"image {index} has shape {tuple(image.shape)} among images of shape {tuple(images[0].shape)}; bring "
                "all to one shape, uint8 (C, H, W), first"
            )
    return torch.stack(images)


def _of_items(items: list[Any], dataset: Any) -> tuple[Tensor, Any, tuple[str, ...] | None]:
    """Images, labels and class names of a data set whose items are images, (image, label), or a dict of both."""
    images, labels = [], []
    for index, item in enumerate(items):
        if isinstance(item, dict):
            keyed = [item[key] for key in _ITEM_KEYS if key in item]
            if not keyed:
                raise ShapeError(f"item {index} of the data set has no image among {', '.join(map(str, item))}")
            item = tuple(keyed[:2])
        image, label = (item[0], item[1]) if isinstance(item, tuple | list) and len(item) > 1 else (item, None)
        images.append(_one(image[0] if isinstance(image, tuple | list) and len(image) == 1 else image, index))
        labels.append(label)
    known = all(label is not None for label in labels)
    return _stack(images), labels if known else None, _names(dataset)


def _names(dataset: Any) -> tuple[str, ...] | None:
    """Class names of a torchvision data set, also behind subsets; synonyms, as ImageNet has them, are joined."""
    while not hasattr(dataset, "classes") and hasattr(dataset, "dataset"):
        dataset = dataset.dataset
    found = getattr(dataset, "classes", None)
    if not isinstance(found, list | tuple) or not found:
        return None
    return tuple(", ".join(map(str, name)) if isinstance(name, list | tuple) else str(name) for name in found)


def _is_huggingface(images: Any) -> bool:
    kind = type(images)
    if kind.__module__.split(".")[0] != "datasets":
        return False
    if kind.__name__ != "Dataset":
        raise DataError(f"images must be a datasets.Dataset, got a {kind.__name__}; choose a split, as in sets['test']")
    return True


def _kind(value: Any) -> str:
    return type(value).__name__
