from pathlib import Path

import numpy as np
import pytest
import torch

from bbsmooth.data import DataError, ImageSet, load


@pytest.fixture
def labelled(tmp_path: Path) -> str:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 5, 3), dtype=np.uint8)
    np.savez(tmp_path / "set.npz", x=pixels, y=[0, 1, 2, 3])
    return f"npz:{tmp_path / 'set.npz'}"


def test_it_is_an_image_set(labelled: str) -> None:
    assert isinstance(load(labelled), ImageSet)


def test_batches_are_their_images(labelled: str) -> None:
    dataset = load(labelled)
    batch = dataset.images([3, 1, 3])
    assert batch.dtype == torch.uint8
    assert torch.equal(batch, torch.stack([dataset.image(index) for index in (3, 1, 3)]))
    assert dataset.labels((3, 1, 3)).tolist() == [3, 1, 3]
    assert dataset.labels((3, 1)).dtype == torch.int64
    assert dataset.label(2) == 2


def test_batches_may_be_empty(labelled: str) -> None:
    dataset = load(labelled)
    assert dataset.images([]).shape == (0, 3, 6, 5)
    assert dataset.labels([]).shape == (0,)


def test_an_index_beyond_the_end(labelled: str) -> None:
    with pytest.raises(IndexError):
        load(labelled).image(4)


def test_images_are_the_callers_own(labelled: str) -> None:
    dataset = load(labelled)
    before = dataset.image(0).clone()
    dataset.image(0).zero_()
    dataset.labels([0]).add_(1)
    assert torch.equal(dataset.image(0), before)
    assert dataset.label(0) == 0


def test_another_shape_is_refused_without_resize(labelled: str) -> None:
    with pytest.raises(
        DataError, match=r"npz:set.npz has images of shape \(3, 6, 5\), the oracle wants \(1, 8, 8\); add `resize=True`"
    ):
        load(labelled, image_shape=(1, 8, 8))


def test_resize_converts(labelled: str) -> None:
    dataset = load(labelled, image_shape=(1, 8, 8), resize=True)
    assert dataset.image_shape == (1, 8, 8)
    assert dataset.images([0, 1]).shape == (2, 1, 8, 8)


def test_resize_without_need_changes_no_pixel(labelled: str) -> None:
    plain, resized = load(labelled), load(labelled, image_shape=(3, 6, 5), resize=True)
    assert torch.equal(plain.images(range(4)), resized.images(range(4)))


def test_the_conversion_is_part_of_the_fingerprint(labelled: str) -> None:
    shapes = [(3, 8, 8), (1, 8, 8)]
    fingerprints = {load(labelled, image_shape=(c, h, w), resize=True).fingerprint for c, h, w in shapes}
    assert len(fingerprints | {load(labelled).fingerprint}) == 3
    assert load(labelled, image_shape=(3, 6, 5)).fingerprint == load(labelled).fingerprint
