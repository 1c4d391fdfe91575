"""Data sets that torchvision reads, in their official order and splits."""

from __future__ import annotations

import contextlib
import pickle
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from bbsmooth.data.digests import digest_files
from bbsmooth.data.image_set import Split
from bbsmooth.data.labels import numbered_classes, read_labels
from bbsmooth.data.source import ArraySource, FileSource
from bbsmooth.errors import DataError, one_line

# What torchvision raises on files that are missing, incomplete or broken (it asserts what MNIST's files must hold).
LOADING_ERRORS = (RuntimeError, OSError, ValueError, TypeError, KeyError, IndexError, AssertionError, EOFError)


def open_vision(name: str, split: Split, root: Path, *, download: bool) -> ArraySource:
    """cifar10, mnist, fashion-mnist or svhn, from the files that torchvision keeps under `root`.

    Raises:
        DataError: they are not there or broken, or cannot be downloaded.
    """
    try:
        data = _load(name, split, root, download=download)
    except (*LOADING_ERRORS, pickle.UnpicklingError) as error:
        raise DataError(
            f"{name} cannot be read under {root} ({one_line(error)}); add `download=True`, or put the files there that "
            "torchvision downloads"
        ) from error
    pixels = np.asarray(data.data).transpose(0, 2, 3, 1) if name == "svhn" else np.asarray(data.data)
    labels = np.asarray(data.labels if name == "svhn" else data.targets)
    classes = numbered_classes(10) if name in ("mnist", "svhn") else tuple(data.classes)
    found = read_labels(labels, images=len(pixels), place=f"{name} under {root}: labels", names=classes)
    return ArraySource.of(name, pixels, found.targets, classes)


def open_imagenet(split: Split, root: Path) -> FileSource:
    """ImageNet (ILSVRC 2012) under `root`/imagenet; its validation images are the test split.

    Class names join all synonyms; the two names that stand for two classes each carry the WordNet id as well.

    Raises:
        DataError: it is not there or incomplete.
    """
    from torchvision.datasets import ImageNet  # here, because it takes a second

    folder = root / "imagenet"
    try:
        data = ImageNet(folder, split="train" if split is Split.TRAIN else "val")
    except LOADING_ERRORS as error:
        raise DataError(
            f"imagenet cannot be read under {folder} ({one_line(error)}); put ILSVRC2012_devkit_t12.tar.gz and "
            "ILSVRC2012_img_val.tar there, from image-net.org: they cannot be downloaded by a program"
        ) from error
    files = tuple(Path(file) for file, _ in data.samples)
    joined = [", ".join(synonyms) for synonyms in data.classes]
    count = Counter(joined)
    names = (name if count[name] == 1 else f"{name} ({wnid})" for name, wnid in zip(joined, data.wnids, strict=True))
    classes = tuple(names)
    return FileSource(
        name="imagenet",
        classes=classes,
        targets=np.asarray(data.targets, dtype=np.int64),
        fingerprint=digest_files(classes, files, folder),
        files=files,
    )


def _load(name: str, split: Split, root: Path, *, download: bool) -> Any:
    from torchvision import datasets  # here, because it takes a second

    train = split is Split.TRAIN
    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):  # stdout is for results
        # NumPy 2.4.0 to 2.4.4 warn of integers where they want booleans, as in CIFAR-10's pickles from Python 2
        # (pytorch/vision issue 9340).
        warnings.simplefilter("ignore", np.exceptions.VisibleDeprecationWarning)
        match name:
            case "cifar10":
                return datasets.CIFAR10(root, train=train, download=download)
            case "mnist":
                return datasets.MNIST(root, train=train, download=download)
            case "fashion-mnist":
                return datasets.FashionMNIST(root, train=train, download=download)
            case _:
                return datasets.SVHN(root, split=split.value, download=download)
