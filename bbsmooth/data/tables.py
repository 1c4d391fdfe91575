"""Columns of a table as images and labels."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bbsmooth.data.digests import digest_values
from bbsmooth.data.labels import looks_like_labels, read_labels
from bbsmooth.data.pictures import open_picture
from bbsmooth.data.resize import to_tensor
from bbsmooth.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image
    from torch import Tensor

NO_LABELS = "none"
"""Value of the option `label` that asks for images without labels."""

_LABELS = ("label", "labels", "target", "targets", "class")
"""Columns that hold labels by their names, in any case; where there are several, the first in this order."""
_log = logging.getLogger("bbsmooth")


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Columns that a user names.

    Attributes:
        image: of the images, None for the only one that there is.
        label: of the labels, None for the one that its type or name tells, "none" for no labels.
        classes: names of the labels, in the order of their numbers.
    """

    image: str | None = None
    label: str | None = None
    classes: tuple[str, ...] | None = None


ANY_COLUMNS = Columns()
"""Those that types and names tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSource:
    """Pictures in a column of a `datasets.Dataset`, decoded when asked for.

    Attributes:
        rows: the data set; its image column gives {"bytes", "path"}.
        column: name of that column.
    """

    name: str
    classes: tuple[str, ...] | None
    targets: NDArray[np.int64] | None
    fingerprint: str
    rows: Any
    column: str

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.rows)

    def place(self, index: int) -> str:
        """Name of a picture, for an error."""
        return f"row {index} of {self.name}"

    def picture(self, index: int) -> Image.Image:
        """Read one picture.

        Raises:
            DataError: the row holds none, or it cannot be read.
        """
        stored = self.rows[index][self.column]
        if stored is None or (stored["bytes"] is None and stored["path"] is None):
            raise DataError(f"{self.place(index)} holds no image; remove the row")
        file = Path(stored["path"]) if stored["bytes"] is None else BytesIO(stored["bytes"])
        return open_picture(file, self.place(index))

    def tensor(self, index: int) -> Tensor:
        """Read one picture, (1 or 3, H, W) uint8.

        Raises:
            DataError: as `picture`.
        """
        return to_tensor(self.picture(index))


def read_columns(
    rows: Any, name: str, columns: Columns, fingerprint: Callable[[tuple[str, ...] | None], str]
) -> TableSource:
    """Images and labels of a `datasets.Dataset`.

    Args:
        rows: the data set.
        name: for people.
        columns: those that the user names.
        fingerprint: of the data, called with the names of the classes.

    Raises:
        DataError: not one column of images, labels that are none, or columns among which the user has to choose.
    """
    import datasets  # here, because it is an optional extra

    column = _image_column(rows, name, columns.image)
    classes, targets = _labels(rows, name, columns, besides=column)
    chosen = (columns.image, columns.label)
    digest = fingerprint(classes)
    return TableSource(
        name=name,
        classes=classes,
        targets=targets,
        fingerprint=digest if chosen == (None, None) else digest_values(digest, chosen),
        rows=rows.cast_column(column, datasets.Image(decode=False)),
        column=column,
    )


def source_of_rows(rows: Any, name: str) -> TableSource:
    """Images and labels of a `datasets.Dataset` in memory, for reading at once: without a fingerprint.

    Raises:
        DataError: as `read_columns`.
    """
    if len(rows) == 0:
        raise DataError(f"{name} hold no rows; give at least one image")
    return read_columns(rows, name, ANY_COLUMNS, lambda classes: "")


def _image_column(rows: Any, name: str, wanted: str | None) -> str:
    import datasets

    def encoded(feature: Any) -> bool:
        """Image files as bytes, without a word in the table that they are images."""
        struct = isinstance(feature, dict) and "bytes" in feature
        return struct or getattr(feature, "dtype", None) in ("binary", "large_binary")

    images = [column for column, feature in rows.features.items() if isinstance(feature, datasets.Image)]
    images = images or [column for column, feature in rows.features.items() if encoded(feature)]
    if wanted is not None:
        if wanted not in rows.features:
            raise DataError(f"{name} has no column {wanted!r}; it has {', '.join(rows.features)}")
        if wanted not in images:
            raise DataError(
                f"{name} has a column {wanted!r} of type {_type(rows, wanted)}; images must be encoded files, in bytes"
            )
        return wanted
    if len(images) != 1:
        advice = "choose with ?image=COLUMN" if images else "one with encoded files is needed"
        raise DataError(f"{name} has {len(images)} columns of images among {', '.join(rows.features)}; {advice}")
    return str(images[0])


def _labels(
    rows: Any, name: str, columns: Columns, *, besides: str
) -> tuple[tuple[str, ...] | None, NDArray[np.int64] | None]:
    """Classes and labels, by the column that the user names, or that its type or name tells."""
    others = [str(column) for column in rows.features if column != besides]
    column = columns.label if columns.label is not None else _label_column(rows, name, others)
    if column is None or (column == NO_LABELS and column not in others):
        return None, None
    if column not in others:
        raise DataError(f"{name} has no column {column!r} for labels; it has {', '.join(others) or 'none besides'}")
    feature, stored = rows.features[column], _stored(rows, column)
    names = columns.classes or getattr(feature, "names", None)
    place = f"{name}: column {column!r} ({_type(rows, column)})"
    try:
        return read_labels(stored, images=len(rows), place=place, names=names)
    except DataError as error:
        raise DataError(f"{error}; ?label={NO_LABELS} takes the images without labels") from error


def _label_column(rows: Any, name: str, others: list[str]) -> str | None:
    import datasets

    by_name = {column.lower(): column for column in reversed(others)}
    if named := [by_name[known] for known in _LABELS[:2] if known in by_name]:
        return named[0]
    typed = [column for column in others if isinstance(rows.features[column], datasets.ClassLabel)]
    if len(typed) > 1:
        raise DataError(f"{name} has several columns of labels, {', '.join(typed)}; choose with ?label=COLUMN")
    if typed:
        return typed[0]
    if named := [by_name[known] for known in _LABELS if known in by_name]:
        return named[0]
    if alike := [column for column in others if looks_like_labels(column)]:
        raise DataError(
            f"{name} has the column {alike[0]!r} ({_type(rows, alike[0])}), which may hold labels; say so with "
            f"?label={alike[0]}, or ?label={NO_LABELS} for images without labels"
        )
    if others:
        _log.warning(
            "%s: no column of labels among %s, so the images have none; ?label=COLUMN names one",
            name,
            ", ".join(others),
        )
    return None


def _stored(rows: Any, column: str) -> Any:
    """The values of a column, as they are in the table, in the order of the rows."""
    values = rows.select_columns(column).with_format("arrow")[:].column(column)
    if values.null_count == 0 and str(values.type).lstrip("u").startswith("int"):
        return values.to_numpy()
    return values.to_pylist()


def _type(rows: Any, column: str) -> str:
    feature = rows.features[column]
    return str(getattr(feature, "dtype", None) or type(feature).__name__)
