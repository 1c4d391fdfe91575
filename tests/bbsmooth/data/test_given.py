"""Images that a user holds: what they are read as, and what is refused by a line that names uint8."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, Subset, TensorDataset

from bbsmooth.data import DataError, images_of, load
from oracles import ShapeError

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 6), dtype=np.uint8)
ALL = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
TENSOR = torch.from_numpy(PIXELS)
NAMES = ["cat", "dog", "cat", "dog", "cat"]


class Pictures(Dataset[Any]):
    """As torchvision's: items (picture or tensor, label), and names."""

    def __init__(self, transform: Callable[[Image.Image], Any] = lambda picture: picture) -> None:
        self.transform, self.classes = transform, ["cat", ["dog", "hound"]]

    def __len__(self) -> int:
        return len(PIXELS)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.transform(Image.fromarray(PIXELS[index].transpose(1, 2, 0))), index % 2


@pytest.mark.parametrize(
    "images",
    [
        PIXELS,
        TENSOR,
        PIXELS[:, :, ::-1][:, :, ::-1],
        TENSOR.float() / 255,
        TENSOR.double() / 255,
        TENSOR.half() / 255,
        PIXELS / 255,
        (PIXELS / 255).astype(np.float32),
        (PIXELS / 255).astype(">f8"),
        list(TENSOR),
        tuple(PIXELS / 255),
        [Image.fromarray(image.transpose(1, 2, 0)) for image in PIXELS],
        Pictures(),
        TensorDataset(TENSOR, torch.arange(5)),
        TensorDataset(TENSOR.float() / 255),
    ],
    ids=lambda images: f"{type(images).__name__}-{getattr(images, 'dtype', '')}",
)
def test_the_same_images_in_every_form(images: Any) -> None:
    found = images_of(images)
    assert (found.image_shape, len(found)) == ((3, 4, 6), 5)
    assert torch.equal(found.images(range(5)), TENSOR)
    assert torch.equal(found.image(3), TENSOR[3])


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("scale", ["divide", "multiply"])
def test_all_256_values_come_back_however_they_were_scaled(dtype: torch.dtype, scale: str) -> None:
    scaled = ALL.to(dtype) / 255 if scale == "divide" else ALL.to(dtype).mul_(1.0 / 255)
    assert torch.equal(images_of(scaled).image(0), ALL[0])


def test_torchvision_s_transforms() -> None:
    from torchvision import transforms

    tensors = images_of(Pictures(transforms.ToTensor()))
    assert torch.equal(tensors.images(range(5)), TENSOR)
    assert (tensors.classes, tensors.labels(range(5)).tolist()) == (("cat", "dog, hound"), [0, 1, 0, 1, 0])
    with pytest.raises(ShapeError, match="image 0 must be uint8, or floats that are exactly k / 255"):
        images_of(Pictures(transforms.Compose([transforms.ToTensor(), transforms.Normalize(0.5, 0.5)])))


def test_names_are_found_behind_subsets() -> None:
    subset = images_of(Subset(Subset(Pictures(), [1, 2, 3]), [0, 2]))
    assert (subset.classes, subset.labels([0, 1]).tolist()) == (("cat", "dog, hound"), [1, 1])


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (TENSOR.long(), "must be uint8 .*got torch.int64; if 0 is black"),
        (PIXELS.astype(np.int32), "must be uint8 .*got torch.int32"),
        (PIXELS > 9, "must be uint8 .*got torch.bool"),
        (TENSOR.bfloat16() / 255, "bfloat16 does not hold all 256 values"),
        (PIXELS.astype(np.float32), "uint8, or floats that are exactly k / 255, got torch.float32 from .* to 255"),
        (PIXELS / 255 + 1e-4, "exactly k / 255, got torch.float64"),
        (PIXELS / 256, "exactly k / 255"),
        (PIXELS / -255, "exactly k / 255"),
        (np.full((1, 1, 4, 4), np.nan), "exactly k / 255"),
        (PIXELS.transpose(0, 2, 3, 1), "channels last; move them with images.transpose"),
        (PIXELS[0], r"uint8 of shape \(N, C, H, W\), got \(3, 4, 6\); add the axis"),
        (PIXELS[0, 0], r"uint8 of shape \(N, C, H, W\), got \(4, 6\)"),
        (PIXELS[:0], "there are no images .*uint8"),
        (PIXELS.astype(str), "must be uint8 .*an array of type <U"),
        ([], "there are no images.*uint8"),
        ([TENSOR[0], TENSOR[0, :, :2]], r"image 1 has shape \(3, 2, 6\) among images of shape \(3, 4, 6\).*uint8"),
        ([TENSOR[0], TENSOR[0] / 254], "image 1 must be uint8"),
        ([PIXELS[0].transpose(1, 2, 0)], r"image 0 must be uint8 of shape \(C, H, W\), got \(4, 6, 3\)"),
        (["a.png"], "image 0 must be a tensor, an array or a picture, uint8 .*got str"),
        (iter(PIXELS), "a data set with a length, got .*; uint8"),
        (7, "a data set with a length, got int; uint8"),
        ([{"caption": 1}], "image 0 must be a tensor"),
    ],
)
def test_what_is_no_image_is_refused(images: Any, words: str) -> None:
    with pytest.raises(ShapeError, match=words) as caught:
        images_of(images)
    assert "uint8" in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "targets", "classes"),
    [
        ([0, 1, 0, 2, 1], [0, 1, 0, 2, 1], ("0", "1", "2")),
        (np.array([[1], [2], [1], [3], [2]], np.uint8), [0, 1, 0, 2, 1], ("1", "2", "3")),
        (torch.tensor([0, 1, 0, 2, 1]), [0, 1, 0, 2, 1], ("0", "1", "2")),
        ([0.0, 1.0, 0.0, 2.0, 1.0], [0, 1, 0, 2, 1], ("0", "1", "2")),
        ([False, True, False, True, True], [0, 1, 0, 1, 1], ("0", "1")),
        (NAMES, [0, 1, 0, 1, 0], ("cat", "dog")),
        (np.array(NAMES), [0, 1, 0, 1, 0], ("cat", "dog")),
        ([torch.tensor(3), torch.tensor(0), 0, 0, 1], [3, 0, 0, 0, 1], ("0", "1", "2", "3")),
    ],
)
def test_labels_as_they_come(labels: Any, targets: list[int], classes: tuple[str, ...]) -> None:
    found = images_of(PIXELS, labels)
    assert (found.classes, found.labels(range(5)).tolist(), found.label(3)) == (classes, targets, targets[3])


def test_names_of_labels_may_be_given() -> None:
    assert images_of(PIXELS, NAMES, classes=["dog", "cat"]).labels(range(5)).tolist() == [1, 0, 1, 0, 1]
    assert images_of(PIXELS, [1, 2, 1, 2, 2], classes=["dog", "cat"]).labels(range(5)).tolist() == [0, 1, 0, 1, 1]


def test_the_first_few_are_read_alone() -> None:
    class Long(Pictures):
        def __getitem__(self, index: int) -> tuple[Any, int]:
            assert index < 2
            return super().__getitem__(index)

    assert images_of(Long(), limit=2).labels([0, 1]).tolist() == [0, 1]
    assert len(images_of(PIXELS, list(range(5)), limit=2)) == 2
    with pytest.raises(DataError, match="`limit` must be at least 1 image, got 0"):
        images_of(PIXELS, limit=0)


def test_an_item_that_cannot_be_read_is_named() -> None:
    class Broken(Pictures):
        def __getitem__(self, index: int) -> tuple[Any, int]:
            raise OSError("no such file")

    with pytest.raises(DataError, match=r"item 0 of the data set cannot be read \(OSError: no such file\)"):
        images_of(Broken())


def test_a_data_set_of_ours_is_taken_as_it_is() -> None:
    digits = load("digits")
    assert images_of(digits) is digits
    with pytest.raises(DataError, match="digits is a data set with labels of its own"):
        images_of(digits, [0])


def test_the_fingerprint_is_that_of_the_same_arrays_in_a_file(tmp_path: Path) -> None:
    for pixels in (PIXELS, PIXELS[:, :1]):
        np.savez(tmp_path / "a.npz", x=pixels.transpose(0, 2, 3, 1), y=[0, 1, 0, 1, 1])
        assert images_of(pixels / 255, [0, 1, 0, 1, 1]).fingerprint == load(f"npz:{tmp_path}/a.npz").fingerprint
    assert images_of(PIXELS).fingerprint != images_of(PIXELS[::-1].copy()).fingerprint


def test_a_data_set_of_hugging_face() -> None:
    datasets = pytest.importorskip("datasets", reason="the extra bbsmooth[hf] is not installed")
    pictures = [Image.fromarray(image.transpose(1, 2, 0)) for image in PIXELS]
    rows = datasets.Dataset.from_dict(
        {"img": pictures, "label": [0, 1, 0, 1, 1]},
        features=datasets.Features({"img": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}),
    )
    found = images_of(rows)
    assert torch.equal(found.images(range(5)), TENSOR)
    assert (found.classes, found.labels(range(5)).tolist()) == (("cat", "dog"), [0, 1, 0, 1, 1])
    turned = images_of(rows.select([4, 0]), limit=1)
    assert torch.equal(turned.image(0), TENSOR[4])
    assert (len(turned), turned.label(0)) == (1, 1)
    assert images_of(rows.remove_columns("label"), NAMES).classes == ("cat", "dog")
    with pytest.raises(DataError, match="must be a datasets.Dataset, got a DatasetDict; choose a split"):
        images_of(datasets.DatasetDict(test=rows))
