"""Fingerprints: the same for the same data on another machine, different for different data.

In memory, all is hashed: class names, labels and pixels in their order. Of files, class names, relative paths, sizes
and contents are hashed; where the contents reach `MOST_BYTES`, modification times stand in for them, in whole seconds
because that is what archives keep. A large data set that was copied without its times therefore counts as another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import file_digest, sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bbsmooth.errors import DataError, one_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_BYTES = 256 * 2**20


def digest_values(*values: object) -> str:
    """Hexadecimal sha256 of plain values: strings, numbers, None, and tuples of them."""
    return sha256(repr(values).encode()).hexdigest()


def digest_arrays(classes: tuple[str, ...] | None, pixels: NDArray[np.uint8], labels: NDArray[np.int64] | None) -> str:
    """Fingerprint of images in memory."""
    return digest_values(classes, _digest_array(pixels), None if labels is None else _digest_array(labels))


def digest_files(classes: tuple[str, ...] | None, files: Sequence[Path], root: Path) -> str:
    """Fingerprint of images in files; paths count relative to `root`, and their order does not count.

    Raises:
        DataError: a file cannot be read.
    """
    try:
        states = {file.relative_to(root).as_posix(): (file, file.stat()) for file in files}
        in_full = sum(state.st_size for _, state in states.values()) < MOST_BYTES
        parts = tuple(
            (name, state.st_size, _digest_file(file) if in_full else int(state.st_mtime))
            for name, (file, state) in sorted(states.items())
        )
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read ({one_line(error)}); repair or remove it") from error
    return digest_values(classes, parts)


def _digest_file(file: Path) -> str:
    with file.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


def _digest_array(array: NDArray[Any]) -> str:
    digest = sha256(repr((array.shape, array.dtype.name)).encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
