import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
import torchvision.datasets
from PIL import Image

from bbsmooth.data import DataError, load

RNG = np.random.default_rng(0)
CIFAR_PIXELS = RNG.integers(0, 256, (2, 3072), dtype=np.uint8)
CIFAR_NAMES = ["airplane", "automobile"]


def write_idx(folder: Path, part: str, pixels: np.ndarray[Any, Any], labels: list[int]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, *pixels.shape) + pixels.tobytes())
    (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, len(labels)) + bytes(labels))


def skip_checksums(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torchvision take files that are not the published ones, whose checksums it knows."""
    for module in ("cifar", "svhn"):
        monkeypatch.setattr(
            f"torchvision.datasets.{module}.check_integrity", lambda file, md5=None: Path(file).exists()
        )


def write_cifar(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The on-disk format, with two images a file."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        pixels = CIFAR_PIXELS if name == "test_batch" else CIFAR_PIXELS[::-1]
        batch = pickle.dumps({"data": pixels, "labels": [1, 0]}, protocol=2)
        (folder / name).write_bytes(batch.replace(b"\x89\x88\x87", b"K\x00K\x01\x87"))  # as Python 2 wrote NumPy types
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": CIFAR_NAMES}))
    skip_checksums(monkeypatch)
    return folder


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")])
def test_mnist_and_fashion_mnist(tmp_path: Path, name: str, folder: str) -> None:
    train, test = RNG.integers(0, 256, (3, 28, 28), dtype=np.uint8), RNG.integers(0, 256, (2, 28, 28), dtype=np.uint8)
    write_idx(tmp_path / folder / "raw", "train", train, [5, 0, 4])
    write_idx(tmp_path / folder / "raw", "t10k", test, [7, 2])
    dataset = load(name, root=tmp_path)
    assert (len(dataset), dataset.image_shape, dataset.name) == (2, (1, 28, 28), name)
    np.testing.assert_array_equal(dataset.images([0, 1])[:, 0].numpy(), test)
    assert dataset.labels([0, 1]).tolist() == [7, 2]
    assert dataset.classes is not None
    assert dataset.classes[7] == ("7" if name == "mnist" else "Sneaker")
    assert load(name, split="train", root=tmp_path).labels([0, 1, 2]).tolist() == [5, 0, 4]


def test_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar(tmp_path, monkeypatch)
    dataset = load("cifar10", root=tmp_path)
    assert (len(dataset), dataset.image_shape) == (2, (3, 32, 32))
    assert dataset.classes == tuple(CIFAR_NAMES)
    np.testing.assert_array_equal(dataset.images([0, 1]).flatten(1).numpy(), CIFAR_PIXELS)
    assert dataset.labels([0, 1]).tolist() == [1, 0]
    train = load("cifar10", split="train", root=tmp_path)
    assert len(train) == 10
    np.testing.assert_array_equal(train.image(0).flatten().numpy(), CIFAR_PIXELS[1])


def test_svhn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = RNG.integers(0, 256, (32, 32, 3, 2), dtype=np.uint8)
    scipy.io.savemat(tmp_path / "test_32x32.mat", {"X": pixels, "y": np.array([[10], [3]], dtype=np.uint8)})
    skip_checksums(monkeypatch)
    dataset = load("svhn", root=tmp_path)
    assert dataset.classes == tuple("0123456789")
    assert dataset.labels([0, 1]).tolist() == [0, 3]
    np.testing.assert_array_equal(dataset.image(1).permute(1, 2, 0).numpy(), pixels[..., 1])


def write_imagenet(root: Path) -> None:
    names = {"n01": ("tench", "Tinca tinca"), "n02": ("crane",), "n03": ("crane",)}
    for position, wnid in enumerate(names):
        folder = root / "imagenet" / "val" / wnid
        folder.mkdir(parents=True)
        Image.new("L" if wnid == "n01" else "RGB", (300, 280)).save(folder / f"ILSVRC2012_val_{position}.JPEG")
    torch.save((names, ["n01", "n02", "n03"]), root / "imagenet" / "meta.bin")


def test_imagenet_is_always_resized(tmp_path: Path) -> None:
    write_imagenet(tmp_path)
    dataset = load("imagenet", root=tmp_path)
    assert dataset.classes == ("tench, Tinca tinca", "crane (n02)", "crane (n03)")
    assert dataset.images([0, 1]).shape == (2, 3, 224, 224)
    assert dataset.labels([0, 1, 2]).tolist() == [0, 1, 2]
    assert load("imagenet", root=tmp_path, image_shape=(3, 384, 384)).image(2).shape == (3, 384, 384)


def test_imagenet_cannot_be_downloaded(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"imagenet cannot be read .*put ILSVRC2012_devkit_t12.tar.gz and"):
        load("imagenet", root=tmp_path, download=True)


def test_a_broken_file(tmp_path: Path) -> None:
    folder = tmp_path / "MNIST" / "raw"
    for part in ("train", "t10k"):
        write_idx(folder, part, np.zeros((2, 28, 28), dtype=np.uint8), [0, 1])
    (folder / "t10k-images-idx3-ubyte").write_bytes(b"")
    with pytest.raises(DataError, match="mnist cannot be read under"):
        load("mnist", root=tmp_path)
    write_idx(folder, "t10k", np.zeros((2, 28, 28), dtype=np.uint8), [0])
    with pytest.raises(DataError, match="has shape .1,. for 2 images"):
        load("mnist", root=tmp_path)


def test_a_broken_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (write_cifar(tmp_path, monkeypatch) / "test_batch").write_bytes(b"junk")
    with pytest.raises(DataError, match="cifar10 cannot be read under"):
        load("cifar10", root=tmp_path)


def test_a_failed_download_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("Error downloading:\nno network")

    monkeypatch.setattr(torchvision.datasets.MNIST, "download", fail)
    with pytest.raises(DataError, match="mnist cannot be read under .*Error downloading: no network") as caught:
        load("mnist", root=tmp_path, download=True)
    assert "\n" not in str(caught.value)


def test_downloads_leave_stdout_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def download(_: object) -> None:
        print("Using downloaded and verified file")
        for part in ("train", "t10k"):
            write_idx(tmp_path / "MNIST" / "raw", part, np.zeros((2, 28, 28), dtype=np.uint8), [0, 1])

    monkeypatch.setattr(torchvision.datasets.MNIST, "download", download)
    assert len(load("mnist", root=tmp_path, download=True)) == 2
    assert capsys.readouterr().out == ""
