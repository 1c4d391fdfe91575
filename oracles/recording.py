"""Answers kept by the name of what was asked: for oracles of any kind, also for those that answer by chance.

A draw has a name (which stream of noise, which number) that is the same in every run, and from which its pixels follow.
So its answer can be kept under that name: cheaper than by content, right for an oracle that answers the same image
differently each time, and enough for a resumed run to pay for each draw once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from oracles.answer_encoding import decode_answers, decode_labels, encode_answers, encode_labels, seal, unseal
from oracles.errors import ImageRefused
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
        single: answers about single images of batches that are not whole yet, where there may be some.
    """

    oracle: Oracle
    store: Store
    single: AnswerLog | None = None

    def __post_init__(self) -> None:
        """Number the names of an open set as before."""
        self.store.load_classes(self.spec.classes)

    @property
    def spec(self) -> OracleSpec:
        """As inside."""
        return self.oracle.spec

    def ask(self, images: Tensor, name: bytes) -> Answers:
        """Answers for the batch called `name`; its images (B, C, H, W) must follow from that name."""
        if (found := self.recorded(name, len(images))) is not None:
            return found
        missing = range(len(images)) if self.single is None else self.single.missing(name, len(images))
        answers = self.oracle.query(images[list(missing)] if len(missing) < len(images) else images)
        if self.single is not None and len(missing) < len(images):
            self.single.write(name, dict(zip(missing, answers.split(), strict=True)))
            answers = self.single.whole(name, len(images))
        self._record(name, answers)
        return answers

    def recorded(self, name: bytes, images: int) -> Answers | None:
        """Answers on record for the batch called `name`, of that number of images; None where one is missing.

        Raises:
            ImageRefused: one of them is refused, however often it is asked about.
        """
        key = self._key(name)
        (raw,) = self.store.read([key])
        if raw is not None:
            return decode_answers(raw, images=images, key=key)
        if self.single is None or self.single.missing(name, images):
            return None
        answers = self.single.whole(name, images)
        self._record(name, answers)
        return answers

    def _record(self, name: bytes, answers: Answers) -> None:
        key = self._key(name)
        with self.store.transaction():
            self.store.save_classes(self.spec.classes)
            self.store.write({key: seal(key, encode_answers(answers))})

    def _key(self, name: bytes) -> bytes:
        return hashlib.sha256(b"batch" + bytes.fromhex(self.spec.fingerprint) + name).digest()


@dataclass(frozen=True, slots=True)
class AnswerLog:
    """Answers about single images of named batches.

    Args:
        store: keeps them.
        spec: of the oracle; its fingerprint is part of every key.
    """

    store: Store
    spec: OracleSpec

    def missing(self, name: bytes, images: int) -> list[int]:
        """Numbers of the images of a batch that have no answer."""
        return [number for number, answer in enumerate(self._read(name, images)) if answer is None]

    def whole(self, name: bytes, images: int) -> Answers:
        """The answers about all images of a batch, none of which is missing.

        Raises:
            ImageRefused: one of them is refused.
        """
        found = [answer for answer in self._read(name, images) if answer is not None]
        if any(int(answer.labels[0]) == REFUSED for answer in found):
            raise ImageRefused(
                f"{self.spec.name} answers others, but not one of these images, however often it is asked"
            )
        return Answers.join(found)

    def write(self, name: bytes, answers: Mapping[int, Answers | None]) -> None:
        """Write down answers by number of their image, None for one that is refused; one that is there stays."""
        import torch

        refused = Answers(torch.tensor([REFUSED]))
        rows = {self._key(name, number): encode_answers(answer or refused) for number, answer in answers.items()}
        with self.store.transaction():
            self.store.save_classes(self.spec.classes)
            known = self.store.read(list(rows))
            self.store.write(
                {key: seal(key, row) for (key, row), old in zip(rows.items(), known, strict=True) if old is None}
            )

    def _read(self, name: bytes, images: int) -> list[Answers | None]:
        keys = [self._key(name, number) for number in range(images)]
        rows = zip(keys, self.store.read(keys), strict=True)
        return [None if raw is None else decode_answers(raw, images=1, key=key) for key, raw in rows]

    def _key(self, name: bytes, number: int) -> bytes:
        fingerprint = bytes.fromhex(self.spec.fingerprint)
        return hashlib.sha256(b"answer" + fingerprint + name + number.to_bytes(8, "big")).digest()


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
