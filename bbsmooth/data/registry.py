"""Data sets by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from bbsmooth.data.arrays import open_arrays
from bbsmooth.data.embedded import open_digits, open_mnist5k
from bbsmooth.data.fitted import FittedImages
from bbsmooth.data.folders import open_files, open_folder
from bbsmooth.data.huggingface import open_huggingface
from bbsmooth.data.image_set import ImageSet, Split
from bbsmooth.data.listing import LISTINGS
from bbsmooth.data.resize import IMAGENET_MARGIN
from bbsmooth.data.source import Source
from bbsmooth.data.tables import Columns
from bbsmooth.data.vision import open_imagenet, open_vision
from bbsmooth.errors import DataError, UsageError
from oracles.errors import SpecError
from oracles.options import split_options

IMAGENET_SHAPE = (3, 224, 224)

_IMAGENET = "imagenet"
_FETCHED = ("cifar10", "mnist", "fashion-mnist", "svhn", "hf")
_FETCHABLE = ", ".join((*_FETCHED[:-1], "hf:NAME"))


@dataclass(frozen=True, slots=True)
class _Request:
    name: str
    argument: str
    split: Split
    root: Path | None
    download: bool

    @property
    def path(self) -> Path:
        return Path(self.argument).expanduser()

    def options(self, *known: str) -> tuple[str, dict[str, str]]:
        """The name before its options, and the options; a path that is there is taken whole.

        Raises:
            DataError: an option that is unknown or empty, or text that is none.
        """
        if self.path.exists() or "?" not in self.argument:
            return self.argument, {}
        try:
            address, options = split_options(self.argument, what=f"{self.name}:")
        except SpecError as error:
            raise DataError(str(error)) from error
        for name, value in options.items():
            if name not in known or not value:
                raise DataError(
                    f"{self.name}: knows the options {', '.join(f'?{option}=' for option in known)}, got {name}={value}"
                )
        return address, options

    @property
    def folder(self) -> Path:
        """The folder in which torchvision keeps its files."""
        root = self.root or Path(os.environ.get("BBSMOOTH_DATA") or "~/.cache/bbsmooth/data")
        return root.expanduser()


def _vision(request: _Request) -> Source:
    return open_vision(request.name, request.split, request.folder, download=request.download)


def _arrays(request: _Request) -> Source:
    path, options = request.options("classes")
    return open_arrays(Path(path).expanduser(), request.split, _listed(options.get("classes")))


def _huggingface(request: _Request) -> Source:
    where, options = request.options("image", "label", "classes")
    columns = Columns(image=options.get("image"), label=options.get("label"), classes=_listed(options.get("classes")))
    return open_huggingface(where, request.split, request.root, download=request.download, columns=columns)


def _listed(names: str | None) -> tuple[str, ...] | None:
    """Names between commas."""
    return tuple(name.strip() for name in names.split(",")) if names is not None else None


_OPENERS: tuple[Callable[[_Request], Source], ...] = (
    lambda request: open_digits(request.split),
    lambda request: open_mnist5k(request.split),
    _vision,
    _vision,
    _vision,
    _vision,
    lambda request: open_imagenet(request.split, request.folder),
    lambda request: open_folder(request.path, request.split),
    _arrays,
    _huggingface,
)
_KINDS = tuple(zip(LISTINGS, _OPENERS, strict=True))


def load(
    name: str,
    *,
    split: Split | str = Split.TEST,
    image_shape: tuple[int, int, int] | None = None,
    resize: bool = False,
    root: Path | None = None,
    download: bool = False,
) -> ImageSet:
    """A data set by its name, see `names`.

    A set without splits of its own (`x` in an npz file, a folder of classes) serves whichever split is asked for.
    `imagenet` is always resized to 256/224 of the wanted size and cropped in the centre, to 224 if no size is wanted.

    Args:
        name: such as "mnist5k" or "folder:photos".
        split: train or test.
        image_shape: (C, H, W) that the oracle wants, None where it takes any.
        resize: convert to that shape instead of refusing any other, see `bbsmooth.data.resize.fit`.
        root: where data are kept; by default the environment's BBSMOOTH_DATA, or ~/.cache/bbsmooth/data (for `hf:` the
            cache of `datasets`).
        download: fetch what is missing.

    Raises:
        DataError: unknown name or split; missing, unreadable or contradictory data; images of another shape.
    """
    try:
        split = Split(split)
    except ValueError as error:
        raise DataError(f"the split must be train or test, got {split!r}") from error
    scheme, colon, argument = name.partition(":")
    openers = {listing.name.partition(":")[:2]: opener for listing, opener in _KINDS}
    if (scheme, colon) not in openers or (colon and not argument):
        raise DataError(f"no data set is called {name!r}; {_instead(name)}")
    source = openers[scheme, colon](_Request(scheme, argument, split, root, download))
    if name == _IMAGENET:
        return FittedImages(source, split, image_shape or IMAGENET_SHAPE, IMAGENET_MARGIN)
    return _fitted(source, split, image_shape, resize=resize)


def refuse_idle_places(name: str, *, root: Path | None, download: bool, called: str = "data_root") -> None:
    """Refuse what changes nothing for a data set that is named: a place of data that lie elsewhere, or a download.

    Args:
        name: of the data set.
        root: where data are kept, None where nobody says.
        download: whether a missing set may be fetched.
        called: what the caller calls `root`.

    Raises:
        UsageError: it would be ignored.
    """
    scheme, colon, argument = name.partition(":")
    fetched = scheme in _FETCHED and not (colon and Path(argument).expanduser().exists())
    if download and not fetched:
        raise UsageError(f"`download` is for data that can be fetched ({_FETCHABLE}), not {name}: leave `download` out")
    if root is not None and scheme not in (*_FETCHED, _IMAGENET):
        raise UsageError(
            f"`{called}` is for data that are kept there ({_FETCHABLE}, {_IMAGENET}), not {name}: leave `{called}` out"
        )


def _instead(name: str) -> str:
    """Advice instead of a name that is none."""
    if name and Path(name).is_dir():
        return f"for a folder of images write folder:{name}"
    if name.endswith(".npz") and Path(name).is_file():
        return f"for NumPy arrays write npz:{name}"
    return f"use {', '.join(listing.name for listing in LISTINGS)}"


def load_files(
    files: Sequence[Path], *, image_shape: tuple[int, int, int] | None = None, resize: bool = False
) -> ImageSet:
    """Single image files as a set without labels.

    Raises:
        DataError: as `load`.
    """
    return _fitted(open_files(files), Split.TEST, image_shape, resize=resize)


def _fitted(source: Source, split: Split, image_shape: tuple[int, int, int] | None, *, resize: bool) -> FittedImages:
    if image_shape is not None and resize:
        return FittedImages(source, split, image_shape, Fraction(1))
    return FittedImages(source, split, _own_shape(source, image_shape), None)


def _own_shape(source: Source, wanted: tuple[int, int, int] | None) -> tuple[int, int, int]:
    """Shape of the first picture, which stands for all until another one is read."""
    channels, height, width = source.tensor(0).shape
    shape = (channels, height, width)
    if wanted not in (None, shape):
        raise DataError(
            f"{source.name} has images of shape {shape}, the oracle wants {wanted}; add `resize=True` to convert them"
        )
    return shape
