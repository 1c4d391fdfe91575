"""Answers of a deterministic oracle, kept by content: the same image is never paid for twice."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from oracles.answer_encoding import decode_answers, encode_answers, seal
from oracles.errors import SpecError
from oracles.oracle import Answers, Oracle, OracleSpec
from oracles.store import ResponseStore


@dataclass(frozen=True, slots=True)
class CachingOracle:
    """Answers from the store what it has answered before, and asks the oracle inside only for the rest.

    The key of an answer is the oracle's fingerprint and the exact bytes, type and shape of the image. Left out, because
    it cannot change an answer: how the images were batched, and what the query was for. A new answer is in the store
    before `query` returns it.

    Raises:
        SpecError: the oracle is not deterministic: its answers differ, and one of them must not stand for all. Record
            those by draw (`oracles.recording`).
    """

    oracle: Oracle
    store: ResponseStore

    def __post_init__(self) -> None:
        """Refuse to cache chance."""
        if not self.oracle.spec.deterministic:
            raise SpecError(f"{self.oracle.spec.name} is not deterministic, so its answers cannot be cached by image")
        self.store.load_classes(self.spec.classes)

    @property
    def spec(self) -> OracleSpec:
        """As inside."""
        return self.oracle.spec

    def query(self, images: Tensor) -> Answers:
        """Answer a batch; images that stand in it twice are asked about once."""
        self.spec.check(images)
        keys = [cache_key(self.spec, image) for image in images]
        rows = dict(zip(keys, self.store.read(keys), strict=True))
        places = {key: place for place, key in enumerate(keys) if rows[key] is None}
        if places:
            answers = self.oracle.query(images[list(places.values())])
            fresh = {key: seal(key, encode_answers(_row(answers, row))) for row, key in enumerate(places)}
            with self.store.transaction():
                self.store.save_classes(self.spec.classes)
                self.store.write(fresh)
            rows |= fresh
        return Answers.join([decode_answers(rows[key] or b"", images=1, key=key) for key in keys])


def cache_key(spec: OracleSpec, image: Tensor) -> bytes:
    """SHA-256 over the oracle's fingerprint and the type, shape and bytes of one image (C, H, W)."""
    head = f"{spec.fingerprint} {image.dtype} {tuple(image.shape)} ".encode()
    return hashlib.sha256(head + image.contiguous().cpu().view(torch.uint8).numpy().tobytes()).digest()


def _row(answers: Answers, row: int) -> Answers:
    scores = None if answers.scores is None else answers.scores[row : row + 1]
    return Answers(answers.labels[row : row + 1], scores)
