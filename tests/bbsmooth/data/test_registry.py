from pathlib import Path

import numpy as np
import pytest

import bbsmooth.data
from bbsmooth.data import DataError, load, names


def test_exported_names_are_sorted_and_there() -> None:
    exported = bbsmooth.data.__all__
    assert exported == sorted(exported)
    assert all(hasattr(bbsmooth.data, name) for name in exported)


def test_every_name_is_listed_once() -> None:
    assert [listing.name for listing in names()] == [
        "digits",
        "mnist5k",
        "cifar10",
        "mnist",
        "fashion-mnist",
        "svhn",
        "imagenet",
        "folder:PATH",
        "npz:PATH",
        "hf:PATH-OR-NAME",
    ]


@pytest.mark.parametrize("listing", names()[:2], ids=lambda listing: listing.name)
def test_listed_sizes_are_true(listing: tuple[str, str, str]) -> None:
    train, test = (len(load(listing[0], split=split)) for split in ("train", "test"))
    assert listing[2] == f"{train:,} train, {test:,} test"


@pytest.mark.parametrize("name", ["", "cifar100", "digits:", "digits:x", "folder", "folder:", "npz:", "hf:", "ftp:x"])
def test_unknown_names(name: str) -> None:
    with pytest.raises(DataError, match=f"no data set is called '{name}'; use digits, .*folder:PATH"):
        load(name)


def test_a_path_without_its_scheme_is_told_which(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    np.savez(tmp_path / "x.npz", x=np.zeros((1, 2, 2), np.uint8))
    with pytest.raises(DataError, match=f"for a folder of images write folder:{tmp_path}/photos$"):
        load(str(tmp_path / "photos"))
    with pytest.raises(DataError, match=f"for NumPy arrays write npz:{tmp_path}/x.npz$"):
        load(str(tmp_path / "x.npz"))


def test_unknown_splits() -> None:
    with pytest.raises(DataError, match="train or test, got 'val'"):
        load("digits", split="val")


@pytest.mark.parametrize("name", ["cifar10", "mnist", "fashion-mnist", "svhn", "imagenet"])
def test_the_root_comes_from_the_argument_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("BBSMOOTH_DATA", str(tmp_path / "environment"))
    with pytest.raises(DataError, match=f"{name} cannot be read under .*environment"):
        load(name)
    with pytest.raises(DataError, match=f"{name} cannot be read under .*argument"):
        load(name, root=tmp_path / "argument")
    monkeypatch.delenv("BBSMOOTH_DATA")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(DataError, match=f"{name} cannot be read under {tmp_path}/.cache/bbsmooth/data"):
        load(name)


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    np.savez(tmp_path / "set.npz", x=np.zeros((1, 2, 2), dtype=np.uint8))
    assert len(load("npz:~/set.npz")) == 1
