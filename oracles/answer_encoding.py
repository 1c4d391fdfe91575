"""Answers as bytes, for storage."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING

import numpy as np

from oracles.errors import RecordDamaged, StorageError
from oracles.oracle import Answers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor


def encode_labels(labels: Tensor) -> bytes:
    """Labels (B,) as little-endian 32-bit integers."""
    return labels.numpy().astype("<i4").tobytes()


def decode_labels(raw: bytes) -> NDArray[np.int32]:
    """The labels (B,) that `encode_labels` was given; a fresh array."""
    return np.frombuffer(raw, dtype="<i4").astype(np.int32)


def seal(key: bytes, row: bytes) -> bytes:
    """A row with a checksum over it and the key that it belongs to, so that a changed or moved row is found."""
    return row + zlib.crc32(key + row).to_bytes(4, "big")


def unseal(key: bytes, raw: bytes, size: int) -> bytes:
    """The row of `size` bytes that `seal` was given; rows of 0.1 have no checksum.

    Raises:
        RecordDamaged: it is not as it was written.
    """
    row = raw[:size]
    if len(raw) != size and raw != seal(key, row):
        raise RecordDamaged("a row of the recorded answers is not as it was written; restore them from a copy")
    return row


def encode_names(key: bytes, names: Sequence[str]) -> bytes:
    """The sealed row that keeps the names of an open set of classes: a JSON list."""
    return seal(key, json.dumps(names).encode())


def decode_names(key: bytes, raw: bytes) -> list[str]:
    """The names that `encode_names` was given; rows of 0.1 have no checksum.

    Raises:
        RecordDamaged: the row is not as it was written.
    """
    try:
        names = json.loads(raw[:-4] if raw == seal(key, raw[:-4]) else raw)
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return names
    except ValueError:
        pass
    raise RecordDamaged("the recorded names of classes are not as they were written; restore them from a copy")


def encode_answers(answers: Answers) -> bytes:
    """Labels and scores: the number of scores an image, then all labels, then all scores as 32-bit floats."""
    width = 0 if answers.scores is None else answers.scores.shape[1]
    scores = b"" if answers.scores is None else answers.scores.numpy().astype("<f4").tobytes()
    return np.array(width, dtype="<i4").tobytes() + encode_labels(answers.labels) + scores


def decode_answers(raw: bytes, *, images: int, key: bytes | None = None) -> Answers:
    """The answers that `encode_answers` was given.

    Args:
        raw: the bytes.
        images: that were answered.
        key: of the row, where the bytes may be sealed.

    Raises:
        StorageError: the bytes do not hold answers for `images` images.
    """
    import torch

    width = int(np.frombuffer(raw[:4], dtype="<i4")[0]) if len(raw) >= 4 else -1
    size = 4 + 4 * images * (1 + width)
    if key is not None and len(raw) == size + 4:
        raw = unseal(key, raw, size)
    if width < 0 or len(raw) != size:
        raise StorageError(f"a record of {len(raw)} bytes does not hold answers for {images} images")
    labels = torch.from_numpy(decode_labels(raw[4 : 4 + 4 * images])).long()
    if width == 0:
        return Answers(labels)
    scores = np.frombuffer(raw[4 + 4 * images :], dtype="<f4").astype(np.float32).reshape(images, width)
    return Answers(labels, torch.from_numpy(scores))
