"""Answers kept by the name of what was asked: for oracles of any kind, also for those that answer by chance.

A draw has a name (which stream of noise, which number) that is the same in every run, and from which its pixels follow.
So its answer can be kept under that name: cheaper than by content, right for an oracle that answers the same image
differently each time, and enough for a resumed run to pay for each draw once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from oracles.answer_encoding import decode_answers, decode_labels, encode_answers, encode_labels, seal, unseal
from oracles.oracle import Answers, Oracle, OracleSpec
from oracles.store import Store

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

BLOCK = 1024
"""Votes in one row of the store."""

UNANSWERED = -1
"""Marks the places of a block that hold no vote yet."""

REFUSED = -2
"""Stands for the vote of a draw that the oracle refuses to answer, so that it is never asked about again."""


@dataclass(frozen=True, slots=True)
class RecordingOracle:
    """Batches by name: the first answer to a name is written down before it is returned, and given ever after.

    Args:
        oracle: asked for what stands nowhere yet.
        store: keeps the answers.
    """

    oracle: Oracle
    store: Store

    def __post_init__(self) -> None:
        """Number the names of an open set as before."""
        self.store.load_classes(self.spec.classes)

    @property
    def spec(self) -> OracleSpec:
        """As inside."""
        return self.oracle.spec

    def ask(self, images: Tensor, name: bytes) -> Answers:
        """Answers for the batch called `name`; its images (B, C, H, W) must follow from that name."""
        key = hashlib.sha256(b"batch" + bytes.fromhex(self.spec.fingerprint) + name).digest()
        (raw,) = self.store.read([key])
        if raw is not None:
            return decode_answers(raw, images=len(images), key=key)
        answers = self.oracle.query(images)
        with self.store.transaction():
            self.store.save_classes(self.spec.classes)
            self.store.write({key: seal(key, encode_answers(answers))})
        return answers


@dataclass(frozen=True, slots=True)
class VoteLog:
    """The labels that an oracle gave to the numbered draws of named streams.

    Args:
        store: keeps them, 4 bytes a vote.
        spec: of the oracle; its fingerprint is part of every key.
    """

    store: Store
    spec: OracleSpec

    def __post_init__(self) -> None:
        """Number the names of an open set as before."""
        self.store.load_classes(self.spec.classes)

    def read(self, stream: bytes, first: int, count: int) -> NDArray[np.int32]:
        """(count,) labels of draws `first` to `first + count - 1`, `UNANSWERED` where there is none."""
        blocks = range(first // BLOCK, (first + count - 1) // BLOCK + 1)
        keys = [self._key(stream, block) for block in blocks]
        rows = zip(keys, self.store.read(keys), strict=True)
        return np.concatenate([_block(key, row) for key, row in rows])[first - blocks.start * BLOCK :][:count]

    def rows(self, stream: bytes, count: int) -> list[bytes]:
        """Keys of the rows that keep the first `count` draws of a stream."""
        return [self._key(stream, block) for block in range(-(-count // BLOCK))]

    def write(self, votes: list[tuple[bytes, int, Tensor]]) -> None:
        """Write down votes, all or none: (stream, number of the first draw, labels of the draws from there on)."""
        with self.store.transaction():
            self.store.save_classes(self.spec.classes)
            for stream, first, labels in votes:
                self._write(stream, first, labels)

    def _write(self, stream: bytes, first: int, labels: Tensor) -> None:
        import torch

        done = 0
        while done < len(labels):
            block, offset = divmod(first + done, BLOCK)
            part = labels[done : done + BLOCK - offset].numpy()
            key = self._key(stream, block)
            row = _block(key, self.store.read([key])[0])
            row[offset : offset + len(part)] = part
            self.store.write({key: seal(key, encode_labels(torch.from_numpy(row)))})
            done += len(part)

    def _key(self, stream: bytes, block: int) -> bytes:
        return hashlib.sha256(
            b"votes" + bytes.fromhex(self.spec.fingerprint) + stream + block.to_bytes(8, "big")
        ).digest()


def _block(key: bytes, row: bytes | None) -> NDArray[np.int32]:
    if row is None:
        return np.full(BLOCK, UNANSWERED, dtype=np.int32)
    return decode_labels(unseal(key, row, 4 * BLOCK))
