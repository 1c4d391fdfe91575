from pathlib import Path

import pytest
from PIL import Image

from bbsmooth.data import DataError, Split, check, load
from bbsmooth.data.image_set import pick_split


@pytest.mark.parametrize(
    ("held", "split", "name"),
    [
        (["train", "test", "val"], Split.TEST, "test"),
        (["train", "val"], Split.TEST, "val"),
        (["validation"], Split.TEST, "validation"),
        (["train", "test"], Split.TRAIN, "train"),
    ],
)
def test_pick_split(held: list[str], split: Split, name: str) -> None:
    assert pick_split(held, split, "photos") == name


def test_a_split_that_is_not_there() -> None:
    with pytest.raises(DataError, match="photos holds extra, train and no test split; add it"):
        pick_split(["train", "extra"], Split.TEST, "photos")


def test_check_reads_no_more_than_the_limit(tmp_path: Path) -> None:
    for name in "ab":
        Image.effect_noise((64, 64), 50).save(tmp_path / f"{name}.png")
    whole = (tmp_path / "b.png").read_bytes()
    (tmp_path / "b.png").write_bytes(whole[:-1000])
    dataset = load(f"folder:{tmp_path}")
    check(dataset, 1)
    for limit in (2, 3, None):
        with pytest.raises(DataError, match="b.png is not a readable image"):
            check(dataset, limit)


@pytest.mark.parametrize("limit", [0, -1])
def test_check_needs_a_limit_of_one(limit: int) -> None:
    with pytest.raises(DataError, match="at least 1 image"):
        check(load("digits"), limit)


def test_check_passes_good_images() -> None:
    check(load("digits"))
    check(load("mnist5k", image_shape=(3, 32, 32), resize=True), 50)
