"""A column of a CSV file beside the images, such as the hospital that each came from."""

from __future__ import annotations

import csv
from pathlib import Path

from bbsmooth.errors import DataError


def column(name: str) -> list[str]:
    """The values of `FILE.csv:COLUMN`, one for each row after the header.

    Raises:
        DataError: there is no such file or column, or a row has no value there.
    """
    file, _, title = name.rpartition(":")
    if not file:
        raise DataError(f"`groups` must be class or FILE.csv:COLUMN, got {name!r}")
    try:
        with Path(file).open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read {file}: {getattr(error, 'strerror', None) or error}") from error
    titles = list(rows[0]) if rows else []
    if title not in titles:
        raise DataError(f"{file} has no column {title!r}; it has {', '.join(map(repr, titles)) or 'no rows'}")
    values = [(row[title] or "").strip() for row in rows]
    if "" in values:
        raise DataError(f"{file} names no {title} in row {values.index('') + 1}; give each image a group")
    return values
