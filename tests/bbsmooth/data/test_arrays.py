from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bbsmooth.data import DataError, Split, load
from bbsmooth.data.arrays import open_arrays

COLOUR = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)
GREY = COLOUR[..., 0]


def save(folder: Path, **arrays: Any) -> Path:
    file = folder / "set.npz"
    np.savez(file, **arrays)
    return file


@pytest.mark.parametrize("split", ["train", "test"])
def test_x_and_y_serve_both_splits(tmp_path: Path, split: str) -> None:
    dataset = load(f"npz:{save(tmp_path, x=COLOUR, y=[0, 2, 0])}", split=split)
    assert (dataset.name, dataset.classes) == ("npz:set.npz", ("0", "1", "2"))
    assert dataset.image_shape == (3, 4, 5)
    assert dataset.labels([0, 1, 2]).tolist() == [0, 2, 0]
    np.testing.assert_array_equal(dataset.images([2, 0]).permute(0, 2, 3, 1).numpy(), COLOUR[[2, 0]])


@pytest.mark.parametrize("pixels", [GREY, GREY[..., None]])
def test_grey_images_have_one_channel(tmp_path: Path, pixels: np.ndarray[Any, Any]) -> None:
    dataset = load(f"npz:{save(tmp_path, x=pixels)}")
    assert dataset.image_shape == (1, 4, 5)
    assert dataset.classes is None
    np.testing.assert_array_equal(dataset.image(1)[0].numpy(), GREY[1])


def test_a_grey_image_three_pixels_wide_is_grey(tmp_path: Path) -> None:
    assert load(f"npz:{save(tmp_path, x=GREY[:, :, :3])}").image_shape == (1, 4, 3)


@pytest.mark.parametrize("shape", [(3, 8, 9, 2), (3, 8, 9, 4), (3, 16, 14, 13)])
def test_bands_are_read_in_their_order(tmp_path: Path, shape: tuple[int, ...]) -> None:
    bands = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    dataset = load(f"npz:{save(tmp_path, x=bands)}")
    assert dataset.image_shape == (shape[3], *shape[1:3])
    np.testing.assert_array_equal(dataset.images([2, 0]).permute(0, 2, 3, 1).numpy(), bands[[2, 0]])
    with pytest.raises(DataError, match=f"image 0 of npz:set.npz has {shape[3]} channels and cannot be resized"):
        load(f"npz:{tmp_path / 'set.npz'}", image_shape=(3, 8, 8), resize=True).image(0)


@pytest.mark.parametrize("shape", [(2, 28, 28, 28), (2, 13, 64, 64), (2, 3, 32, 32), (2, 1, 9, 9), (2, 3, 3, 2)])
def test_volumes_and_channels_that_come_first_are_no_bands(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"\(N, H, W, C\) with few channels is needed"):
        load(f"npz:{save(tmp_path, x=np.zeros(shape, np.uint8))}")


def test_splits_share_their_classes(tmp_path: Path) -> None:
    file = save(tmp_path, x_train=COLOUR, y_train=[0, 1, 4], x_test=COLOUR[:1], y_test=[1])
    train, test = load(f"npz:{file}", split="train"), load(f"npz:{file}", split="test")
    assert (len(train), len(test)) == (3, 1)
    assert train.classes == test.classes == ("0", "1", "2", "3", "4")
    assert test.label(0) == 1


def test_labels_may_be_names(tmp_path: Path) -> None:
    file = save(tmp_path, x_train=COLOUR, y_train=["owl", "cat", "dog"], x_test=COLOUR[:1], y_test=["dog"])
    test = load(f"npz:{file}")
    assert (test.classes, test.label(0)) == (("cat", "dog", "owl"), 1)


def test_medmnist_as_it_comes(tmp_path: Path) -> None:
    file = save(
        tmp_path,
        train_images=GREY,
        train_labels=np.array([[2], [0], [1]], np.uint8),
        val_images=GREY[:2],
        val_labels=np.array([[1], [0]], np.uint8),
        test_images=GREY[1:],
        test_labels=np.array([[0], [1]], np.uint8),
    )
    train, test = load(f"npz:{file}", split="train"), load(f"npz:{file}")
    assert (train.image_shape, len(train), len(test)) == ((1, 4, 5), 3, 2)
    assert train.classes == test.classes == ("0", "1", "2")
    assert test.labels([0, 1]).tolist() == [0, 1]
    np.testing.assert_array_equal(test.image(0)[0].numpy(), GREY[1])


def test_an_option_names_the_classes(tmp_path: Path) -> None:
    file = save(tmp_path, x=COLOUR, y=[1, 2, 3])
    named = load(f"npz:{file}?classes=owl,cat,dog")
    assert (named.classes, named.labels([0, 1, 2]).tolist()) == (("owl", "cat", "dog"), [0, 1, 2])
    with pytest.raises(DataError, match="label 2 at image 1; labels must lie in 0 to 1"):
        load(f"npz:{file}?classes=owl,cat")
    with pytest.raises(DataError, match=r"npz: knows the options \?classes=, got label=y"):
        load(f"npz:{file}?label=y")
    with pytest.raises(DataError, match=r"options of npz: look like"):
        load(f"npz:{file}?label")
    file.rename(tmp_path / "a?b=c.npz")
    assert len(load(f"npz:{tmp_path}/a?b=c.npz")) == 3


def test_classes_may_be_named(tmp_path: Path) -> None:
    file = save(tmp_path, x=COLOUR, y=[0, 1, 0], classes=["cat", "dog"])
    assert load(f"npz:{file}").classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"images": COLOUR}, "holds the arrays images; name the images x"),
        ({"x_train": COLOUR}, "holds train and no test split"),
        ({"x": COLOUR / 255}, "x is of type float64; images must be uint8"),
        ({"x": np.full((1, 2, 2), np.nan, dtype=np.float32)}, "x is of type float32"),
        ({"x": COLOUR.astype(np.int64)}, "x is of type int64"),
        (
            {"x": COLOUR.transpose(0, 3, 1, 2)},
            r"shape .3, 3, 4, 5.; .* is needed; move the channels last with x.transpose",
        ),
        ({"x": COLOUR[0, 0]}, r"shape .5, 3.; \(N, H, W\) or"),
        ({"x": np.zeros((2, 4, 4, 4), dtype=np.uint8)}, r"shape \(2, 4, 4, 4\)"),
        ({"x": COLOUR, "labels": [0, 1, 0]}, "holds labels, which may be labels; call it y, or leave it out"),
        ({"x_test": COLOUR, "test_targets": [0, 1, 0]}, "holds test_targets, which may be labels; call it y_test"),
        ({"x": COLOUR[:0]}, "it holds no images"),
        ({"x": COLOUR[:, :0]}, "it holds no images"),
        ({"x": COLOUR, "y": [0, 1]}, "y has shape .2,. for 3 images"),
        ({"x": COLOUR, "y": np.eye(3)}, r"y has shape \(3, 3\) for 3 images; .*; of one-hot rows take the argmax"),
        ({"x": COLOUR, "y": [0, 1, -1]}, "label -1 at image 2"),
        (
            {"x": COLOUR, "y": [0, 1, np.nan]},
            "y is of type float64 and has the label nan at image 2; labels must be whole numbers",
        ),
        ({"x": COLOUR, "y": [0, 1, 10**7]}, "label 10000000 at image 2"),
        ({"x": COLOUR, "y": [0, 1, 2], "classes": ["a", "b"]}, "label 2 at image 2; labels must lie in 0 to 1"),
        ({"x": COLOUR, "y": [0, 1, 1], "classes": [1, 2]}, "classes has shape .2,. and type int64; a list of strings"),
        ({"x_test": COLOUR, "y_test": [0, 1, 1], "x_train": COLOUR, "y_train": [-1]}, "y_train has the label -1"),
        ({"x": np.array([{}, 1], dtype=object)}, "x is an array of Python objects, which is not read"),
        (
            {"x": COLOUR, "y": np.array(["a", 1, 2], dtype=object)},
            "y is an array of Python objects, .*write it as numbers",
        ),
        (
            {"test_images": COLOUR, "test_labels": np.ones((3, 14), int)},
            r"test_labels has shape \(3, 14\) for 3 images",
        ),
        ({"test_images": COLOUR[..., None, None]}, r"test_images has shape \(3, 4, 5, 3, 1, 1\)"),
    ],
)
def test_wrong_arrays(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    file = save(tmp_path, **arrays)
    with pytest.raises(DataError, match=words) as caught:
        open_arrays(file, Split.TEST)
    assert str(file) in str(caught.value)


def test_files_that_are_no_archives(tmp_path: Path) -> None:
    lone = tmp_path / "lone.npz"
    with lone.open("wb") as stream:
        np.save(stream, COLOUR)
    text = tmp_path / "text.npz"
    text.write_text("x")
    empty = tmp_path / "empty.npz"
    empty.touch()
    whole = save(tmp_path, x=COLOUR).read_bytes()
    cut = tmp_path / "cut.npz"
    cut.write_bytes(whole[: len(whole) // 2])
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(whole[:150] + bytes([whole[150] ^ 1]) + whole[151:])
    for file in (lone, text, empty, cut, damaged, tmp_path / "gone.npz", tmp_path):
        with pytest.raises(DataError, match=f"{file.name} is not a readable .npz archive .*write it with np.savez"):
            open_arrays(file, Split.TEST)


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_whatever_bit_is_wrong_an_archive_is_read_or_refused(tmp_path: Path, write: Callable[..., None]) -> None:
    file = tmp_path / "set.npz"
    write(file, x=COLOUR, y=np.array([1, 0, 1]))
    whole, refused = file.read_bytes(), 0
    for place in range(0, 8 * len(whole), 7):
        turned = bytearray(whole)
        turned[place // 8] ^= 1 << place % 8
        file.write_bytes(turned)
        try:
            open_arrays(file, Split.TEST)
        except DataError:
            refused += 1
    assert refused > len(whole) // 3
