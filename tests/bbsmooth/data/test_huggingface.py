import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bbsmooth.data import DataError, check, load

datasets = pytest.importorskip("datasets", reason="the extra bbsmooth[hf] is not installed")

CIFAR10 = Path(__file__).parents[4] / "shared" / "data" / "cifar10"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PIXELS = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)


def png(pixels: np.ndarray[Any, Any]) -> dict[str, Any]:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return {"bytes": file.getvalue(), "path": None}


def write(file: Path, features: dict[str, Any] | None = None, **columns: list[Any]) -> Path:
    """A parquet file; by default an image column "img"."""
    file.parent.mkdir(parents=True, exist_ok=True)
    columns = columns or {"img": [png(pixels) for pixels in PIXELS]}
    features = features or {"img": datasets.Image()}
    datasets.disable_progress_bars()
    datasets.Dataset.from_dict(columns, features=datasets.Features(features)).to_parquet(str(file))
    return file


def labelled(file: Path, labels: list[Any], feature: Any, name: str = "label") -> Path:
    images = [png(pixels) for pixels in PIXELS]
    return write(file, {"img": datasets.Image(), name: feature}, **{"img": images, name: labels})


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.mark.skipif(not CIFAR10.is_dir(), reason="shared/data/cifar10 is not beside the repository")
def test_cifar10_as_parquet(cache: Path) -> None:
    test = load(f"hf:{CIFAR10}", root=cache)
    assert (test.name, len(test), test.image_shape) == ("hf:cifar10", 10_000, (3, 32, 32))
    assert test.classes == CLASSES
    assert torch.bincount(test.labels(range(10_000))).tolist() == [1000] * 10
    check(test, 100)
    train = load(f"hf:{CIFAR10}", split="train", root=cache)
    assert len(train) == 50_000
    assert train.fingerprint != test.fingerprint
    assert load(f"hf:{CIFAR10}", root=cache).fingerprint == test.fingerprint


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_parquet_file_serves_both_splits(tmp_path: Path, cache: Path, split: str) -> None:
    file = labelled(tmp_path / "photos.parquet", [1, 0, 1], datasets.ClassLabel(names=["cat", "dog"]))
    dataset = load(f"hf:{file}", split=split, root=cache)
    assert (dataset.name, dataset.classes) == ("hf:photos.parquet", ("cat", "dog"))
    assert dataset.labels([0, 1, 2]).tolist() == [1, 0, 1]
    np.testing.assert_array_equal(dataset.images([0, 1, 2]).permute(0, 2, 3, 1).numpy(), PIXELS)


def test_a_copy_has_the_same_fingerprint(tmp_path: Path, cache: Path) -> None:
    file = write(tmp_path / "here" / "a.parquet")
    copy = tmp_path / "there" / "a.parquet"
    copy.parent.mkdir()
    copy.write_bytes(file.read_bytes())
    assert load(f"hf:{file}", root=cache).fingerprint == load(f"hf:{copy}", root=cache).fingerprint


@pytest.mark.parametrize("name", ["label", "labels"])
def test_whole_numbers_are_labels_by_name(tmp_path: Path, cache: Path, name: str) -> None:
    file = labelled(tmp_path / "a.parquet", [2, 0, 1], datasets.Value("int32"), name)
    dataset = load(f"hf:{file}", root=cache)
    assert dataset.classes == ("0", "1", "2")
    assert dataset.labels([0, 1, 2]).tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("labels", "feature", "classes", "targets"),
    [
        (["dog", "cat", "dog"], datasets.Value("string"), ("cat", "dog"), [1, 0, 1]),
        (["dog", "cat", "dog"], datasets.Value("large_string"), ("cat", "dog"), [1, 0, 1]),
        ([True, False, True], datasets.Value("bool"), ("0", "1"), [1, 0, 1]),
        ([1.0, 0.0, 2.0], datasets.Value("float32"), ("0", "1", "2"), [1, 0, 2]),
        ([[1], [0], [2]], datasets.List(datasets.Value("int64")), ("0", "1", "2"), [1, 0, 2]),
        ([["dog"], ["cat"], ["dog"]], datasets.List(datasets.Value("string")), ("cat", "dog"), [1, 0, 1]),
        ([1, 2, 3], datasets.Value("uint8"), ("1", "2", "3"), [0, 1, 2]),
    ],
    ids=str,
)
@pytest.mark.parametrize("column", ["label", "Target", "class"])
def test_labels_of_every_type(
    tmp_path: Path,
    cache: Path,
    labels: list[Any],
    feature: Any,
    classes: tuple[str, ...],
    targets: list[int],
    column: str,
) -> None:
    dataset = load(f"hf:{labelled(tmp_path / 'a.parquet', labels, feature, column)}", root=cache)
    assert (dataset.classes, dataset.labels([0, 1, 2]).tolist()) == (classes, targets)


@pytest.mark.parametrize("kind", ["struct", "binary", "dictionary"])
def test_a_table_that_says_nothing_about_its_columns(tmp_path: Path, cache: Path, kind: str) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    struct = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
    images = arrow.array([image["bytes"] for image in IMAGES]) if kind == "binary" else arrow.array(IMAGES, struct)
    labels = arrow.array(["dog", "cat", "dog"])
    table = arrow.table({"image": images, "label": labels.dictionary_encode() if kind == "dictionary" else labels})
    parquet.write_table(table, tmp_path / "a.parquet")
    dataset = load(f"hf:{tmp_path}/a.parquet", root=cache)
    np.testing.assert_array_equal(dataset.images([0, 1, 2]).permute(0, 2, 3, 1).numpy(), PIXELS)
    assert (dataset.classes, dataset.labels([0, 1, 2]).tolist()) == (("cat", "dog"), [1, 0, 1])


def test_columns_may_be_chosen(tmp_path: Path, cache: Path) -> None:
    names = {"fine": datasets.ClassLabel(names=["a", "b", "c"]), "coarse": datasets.ClassLabel(names=["x", "y"])}
    file = write(
        tmp_path / "a.parquet",
        {"img": datasets.Image(), "mask": datasets.Image(), **names},
        img=IMAGES,
        mask=IMAGES[::-1],
        fine=[2, 0, 1],
        coarse=[1, 0, 0],
    )
    fine, coarse, bare = (
        load(f"hf:{file}?image=mask&label={label}", root=cache) for label in ("fine", "coarse", "none")
    )
    assert (fine.classes, fine.labels([0, 1, 2]).tolist()) == (("a", "b", "c"), [2, 0, 1])
    assert (coarse.classes, coarse.labels([0, 1, 2]).tolist()) == (("x", "y"), [1, 0, 0])
    assert (bare.classes, bare.label(0)) == (None, None)
    assert len({fine.fingerprint, coarse.fingerprint, bare.fingerprint}) == 3
    np.testing.assert_array_equal(fine.image(0).permute(1, 2, 0).numpy(), PIXELS[2])
    for options, words in [
        ("image=gone&label=fine", "has no column 'gone'; it has img, mask, fine, coarse"),
        ("image=fine&label=coarse", r"column 'fine' of type int64; images must be encoded files"),
        ("image=img&label=gone", "has no column 'gone' for labels; it has mask, fine, coarse"),
        ("labels=fine", r"hf: knows the options \?image=, \?label=, \?classes=, got labels=fine"),
        ("image=", "got image=$"),
    ]:
        with pytest.raises(DataError, match=words):
            load(f"hf:{file}?{options}", root=cache)


def test_columns_that_are_no_labels_are_said_to_be_left_out(
    tmp_path: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = labelled(tmp_path / "a.parquet", [1, 0, 1], datasets.Value("int32"), "year")
    assert load(f"hf:{file}", root=cache).classes is None
    assert caplog.messages == [
        "hf:a.parquet: no column of labels among year, so the images have none; ?label=COLUMN names one"
    ]
    assert load(f"hf:{file}?label=year", root=cache).classes == ("0", "1")
    assert load(f"hf:{file}?label=year&classes=old,new", root=cache).classes == ("old", "new")


def test_class_labels_may_have_any_name(tmp_path: Path, cache: Path) -> None:
    file = labelled(tmp_path / "a.parquet", [1, 0, 1], datasets.ClassLabel(names=["cat", "dog"]), "animal")
    assert load(f"hf:{file}", root=cache).classes == ("cat", "dog")


def test_without_labels(tmp_path: Path, cache: Path) -> None:
    dataset = load(f"hf:{write(tmp_path / 'a.parquet')}", root=cache)
    assert dataset.classes is None
    assert dataset.label(0) is None


@pytest.mark.parametrize(
    "files", [("train-0.parquet", "test-0.parquet"), ("a/train/0.parquet", "a/validation/0.parquet")]
)
def test_splits_by_the_names_of_files_and_folders(tmp_path: Path, cache: Path, files: tuple[str, str]) -> None:
    folder = tmp_path / "photos"
    write(folder / files[0])
    write(folder / files[1], {"img": datasets.Image()}, img=[png(PIXELS[0])])
    write(folder / ".hidden" / "test.parquet")
    assert [len(load(f"hf:{folder}", split=split, root=cache)) for split in ("train", "test")] == [3, 1]


def test_a_folder_without_splits_serves_both(tmp_path: Path, cache: Path) -> None:
    folder = write(write(tmp_path / "photos" / "0.parquet").parent / "1.parquet").parent
    assert [len(load(f"hf:{folder}", split=split, root=cache)) for split in ("train", "test")] == [6, 6]


def test_a_missing_split(tmp_path: Path, cache: Path) -> None:
    folder = write(tmp_path / "photos" / "train.parquet").parent
    with pytest.raises(DataError, match="photos holds train and no test split"):
        load(f"hf:{folder}", root=cache)


def test_a_file_of_no_split_among_others(tmp_path: Path, cache: Path) -> None:
    folder = write(write(tmp_path / "photos" / "test.parquet").parent / "more.parquet").parent
    with pytest.raises(DataError, match="more.parquet names no split, but other files do"):
        load(f"hf:{folder}", root=cache)


def test_no_parquet_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no parquet files; use folder:"):
        load(f"hf:{tmp_path}")


@pytest.mark.parametrize("where", ["./gone", "/gone", "~/gone", "gone.parquet"])
def test_a_path_that_does_not_exist(where: str) -> None:
    with pytest.raises(DataError, match=f"{where} does not exist"):
        load(f"hf:{where}")


def test_a_file_that_is_not_parquet(tmp_path: Path, cache: Path) -> None:
    file = tmp_path / "a.parquet"
    file.write_text("not parquet")
    with pytest.raises(DataError, match="a.parquet cannot be read as parquet files"):
        load(f"hf:{file}", root=cache)


IMAGES = [png(pixels) for pixels in PIXELS]
BINARY = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}


@pytest.mark.parametrize(
    ("features", "columns", "words"),
    [
        (
            {"img": datasets.Value("string")},
            {"img": ["a", "b", "c"]},
            "has 0 columns of images among img; one with encoded files is needed",
        ),
        (
            {"a": datasets.Image(), "b": datasets.Image()},
            {"a": IMAGES, "b": IMAGES},
            "has 2 columns of images among a, b; choose with .image=COLUMN",
        ),
        (
            {"i": datasets.Image(), "a": datasets.ClassLabel(2), "b": datasets.ClassLabel(2)},
            {"i": IMAGES, "a": [0, 0, 1], "b": [0, 1, 0]},
            "several columns of labels, a, b; choose with .label=COLUMN",
        ),
        (
            {"i": datasets.Image(), "label": datasets.Value("int8")},
            {"i": IMAGES, "label": [0, -1, 0]},
            "label -1 at image 1",
        ),
        (
            {"i": datasets.Image(), "label": datasets.ClassLabel(2)},
            {"i": IMAGES, "label": [0, None, 1]},
            r"column 'label' \(int64\) has no label at image 1; .*; .label=none takes the images without labels",
        ),
        (
            {"i": datasets.Image(), "label": datasets.List(datasets.Value("string"))},
            {"i": IMAGES, "label": [["a"], ["b"], ["a", "b"]]},
            r"column 'label' \(List\) has 2 labels at image 2",
        ),
        (
            {"i": datasets.Image(), "label": {"a": datasets.Value("int8")}},
            {"i": IMAGES, "label": [{"a": 1}] * 3},
            r"column 'label' \(dict\) has a label of type dict at image 0",
        ),
        (
            {"i": datasets.Image(), "fine_label": datasets.Value("int8")},
            {"i": IMAGES, "fine_label": [0, 1, 0]},
            r"column 'fine_label' \(int8\), which may hold labels; say so with .label=fine_label, or .label=none",
        ),
        ({"i": datasets.Image()}, {"i": [None]}, "row 0 of hf:a.parquet holds no image"),
        (
            {"i": datasets.Image()},
            {"i": [{"bytes": b"junk", "path": None}]},
            "row 0 of hf:a.parquet is not a readable image",
        ),
        ({"i": datasets.Image()}, {"i": []}, "a.parquet cannot be read as parquet files .*no data"),
    ],
)
def test_wrong_tables(tmp_path: Path, cache: Path, features: dict[str, Any], columns: Any, words: str) -> None:
    file = write(tmp_path / "a.parquet", features, **columns)
    with pytest.raises(DataError, match=words):
        load(f"hf:{file}", root=cache)


def test_images_may_lie_beside_the_table(tmp_path: Path, cache: Path) -> None:
    Image.fromarray(PIXELS[0]).save(tmp_path / "a.png")
    datasets.Dataset.from_dict(
        {"img": [{"bytes": None, "path": str(tmp_path / "a.png")}]}, features=datasets.Features(img=datasets.Image())
    ).to_parquet(str(tmp_path / "a.parquet"))
    dataset = load(f"hf:{tmp_path / 'a.parquet'}", root=cache)
    np.testing.assert_array_equal(dataset.image(0).permute(1, 2, 0).numpy(), PIXELS[0])


def test_the_hub_is_not_asked_without_download(cache: Path) -> None:
    with pytest.raises(DataError, match="hf:nobody/nothing is neither a path nor cached .*add `download=True`"):
        load("hf:nobody/nothing", root=cache)


def stub_hub(monkeypatch: pytest.MonkeyPatch, answer: Any) -> list[bool]:
    """Let `load_dataset` answer without a network; lists whether it was told to stay offline."""
    offline = []

    def load_dataset(name: str, *, cache_dir: Path | None) -> Any:
        offline.append(datasets.config.HF_HUB_OFFLINE)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return offline


def test_a_name_on_the_hub(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = labelled(tmp_path / "a.parquet", [1, 0, 1], datasets.ClassLabel(names=["cat", "dog"]))
    table = datasets.load_dataset("parquet", data_files=[str(file)], split="train", cache_dir=cache)
    offline = stub_hub(monkeypatch, datasets.DatasetDict(train=table, validation=table.select(range(3))))
    before = datasets.config.HF_HUB_OFFLINE
    for download in (False, True):
        dataset = load("hf:someone/photos", download=download)
        assert (dataset.name, len(dataset), dataset.classes) == ("hf:someone/photos", 3, ("cat", "dog"))
    assert offline == [True, before]
    assert before == datasets.config.HF_HUB_OFFLINE


def test_an_empty_split_on_the_hub(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = datasets.load_dataset("parquet", data_files=[str(write(tmp_path / "a.parquet"))], cache_dir=cache)["train"]
    stub_hub(monkeypatch, datasets.DatasetDict(test=table.select([])))
    with pytest.raises(DataError, match="hf:someone/photos holds no images"):
        load("hf:someone/photos")


@pytest.mark.parametrize("error", [ConnectionError("no network"), ValueError("Config name is missing.\nPick one")])
def test_a_failing_hub(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    stub_hub(monkeypatch, error)
    with pytest.raises(DataError, match="hf:someone/photos .*; check the name and the network") as caught:
        load("hf:someone/photos", download=True)
    assert "\n" not in str(caught.value)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"pip install 'bbsmooth\[hf\]'"):
        load("hf:someone/photos")
