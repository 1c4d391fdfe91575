import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bbsmooth.data import DataError, Split, check, load
from bbsmooth.data.folders import open_folder


def write(*files: Path, value: int = 0) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 3), (value, 0, 0)).save(file)


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    root = tmp_path / "animals"
    write(root / "dog" / "b.png", root / "dog" / "a.png", root / "dog" / "c.JPG", value=1)
    write(root / "cat" / "z.png", value=2)
    (root / "bird").mkdir()
    return root


def test_one_folder_per_class(animals: Path) -> None:
    source = open_folder(animals, Split.TEST)
    assert source.name == "folder:animals"
    assert source.classes == ("bird", "cat", "dog")
    assert [file.name for file in source.files] == ["z.png", "a.png", "b.png", "c.JPG"]
    assert source.targets is not None
    assert source.targets.tolist() == [1, 2, 2, 2]


def test_a_set_without_splits_serves_both(animals: Path) -> None:
    train, test = open_folder(animals, Split.TRAIN), open_folder(animals, Split.TEST)
    assert train.files == test.files
    assert train.fingerprint == test.fingerprint


def test_flat_folders_are_unlabelled(tmp_path: Path) -> None:
    write(tmp_path / "2.png", tmp_path / "10.png")
    dataset = load(f"folder:{tmp_path}")
    assert dataset.classes is None
    assert dataset.label(0) is None
    assert len(dataset) == 2
    with pytest.raises(DataError, match="has no labels; use one folder per class"):
        dataset.labels([0])


@pytest.mark.parametrize("test", ["test", "val"])
def test_splits_number_the_classes_of_all_splits(tmp_path: Path, test: str) -> None:
    write(tmp_path / "train" / "cat" / "a.png", tmp_path / "train" / "dog" / "a.png", tmp_path / test / "dog" / "b.png")
    train, tested = load(f"folder:{tmp_path}", split="train"), load(f"folder:{tmp_path}", split="test")
    assert train.classes == tested.classes == ("cat", "dog")
    assert train.labels([0, 1]).tolist() == [0, 1]
    assert tested.labels([0]).tolist() == [1]
    assert train.fingerprint != tested.fingerprint


def test_test_goes_before_val(tmp_path: Path) -> None:
    write(tmp_path / "test" / "a.png", tmp_path / "val" / "b.png", tmp_path / "train" / "c.png")
    (tmp_path / "README.txt").touch()
    assert [file.name for file in open_folder(tmp_path, Split.TEST).files] == ["a.png"]


def test_a_missing_split(tmp_path: Path) -> None:
    write(tmp_path / "train" / "a.png")
    with pytest.raises(DataError, match="holds train and no test split"):
        open_folder(tmp_path, Split.TEST)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    write(tmp_path / "train" / "a.png", tmp_path / "plane" / "a.png")
    assert open_folder(tmp_path, Split.TEST).classes == ("plane", "train")


def test_hidden_files_and_junk_are_ignored(animals: Path) -> None:
    before = open_folder(animals, Split.TEST).fingerprint
    for junk in (".DS_Store", "cat/.hidden.png", "cat/Thumbs.db", "dog/desktop.ini"):
        (animals / junk).write_text("junk")
    (animals / "__MACOSX").mkdir()
    (animals / ".git").mkdir()
    assert open_folder(animals, Split.TEST).fingerprint == before


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone is not a folder; give the path"):
        open_folder(tmp_path / "gone", Split.TEST)


def test_a_file_is_not_a_folder(animals: Path) -> None:
    with pytest.raises(DataError, match="a.png is not a folder"):
        open_folder(animals / "dog" / "a.png", Split.TEST)


@pytest.mark.parametrize("inside", [[], ["cat", "dog"]])
def test_no_images(tmp_path: Path, inside: list[str]) -> None:
    for name in inside:
        (tmp_path / name).mkdir()
    with pytest.raises(DataError, match="holds no images"):
        open_folder(tmp_path, Split.TEST)


@pytest.mark.parametrize("name", ["notes.txt", "noending"])
def test_other_files_are_named(animals: Path, name: str) -> None:
    (animals / "dog" / name).touch()
    with pytest.raises(DataError, match=f"{name} is not an image by its name; move it"):
        open_folder(animals, Split.TEST)


def test_images_beside_classes(animals: Path) -> None:
    write(animals / "stray.png")
    with pytest.raises(DataError, match="stray.png lies beside folders of classes"):
        open_folder(animals, Split.TEST)


def test_folders_below_classes(animals: Path) -> None:
    (animals / "dog" / "puppies").mkdir()
    with pytest.raises(DataError, match="puppies lies inside the folder of a class"):
        open_folder(animals, Split.TEST)


def test_a_class_whose_name_is_no_text_is_named(animals: Path) -> None:
    os.mkdir(os.fsencode(animals) + b"/caf\xe9")
    with pytest.raises(DataError, match=r"a folder whose name 'caf\\udce9' is not UTF-8; rename it"):
        open_folder(animals, Split.TEST)


def test_a_broken_link_is_named(animals: Path) -> None:
    (animals / "dog" / "d.png").symlink_to(animals / "nowhere.png")
    with pytest.raises(DataError, match="d.png cannot be read .*FileNotFoundError"):
        open_folder(animals, Split.TEST)


@pytest.mark.parametrize("content", [b"", b"text"])
def test_an_unreadable_image_is_found_by_check(animals: Path, content: bytes) -> None:
    (animals / "dog" / "b.png").write_bytes(content)
    dataset = load(f"folder:{animals}")
    check(dataset, 2)
    with pytest.raises(DataError, match="b.png is not a readable image"):
        check(dataset, 3)


def test_an_image_of_another_shape_is_found_by_check(animals: Path) -> None:
    Image.new("L", (4, 3)).save(animals / "dog" / "b.png")
    with pytest.raises(DataError, match="b.png has shape .1, 3, 4. among images of shape .3, 3, 4.; add `resize=True`"):
        check(load(f"folder:{animals}"))
    check(load(f"folder:{animals}", image_shape=(3, 3, 4), resize=True))


def test_pixels_come_back(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = load(f"folder:{tmp_path}").image(0)
    np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), pixels)
