"""Batches of any size for an oracle that takes only small ones, or refuses large ones."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from oracles.errors import BatchRefused, SpecError
from oracles.oracle import Answers, Oracle, OracleSpec


@dataclass(frozen=True, slots=True)
class ChunkingOracle:
    """Splits a batch into calls of at most `size` images and keeps their order.

    It belongs outside whatever charges and records, so that each call is charged and recorded on its own: a failure
    in a later chunk loses no earlier answer.

    Raises:
        SpecError: `size` is not positive, or more than the oracle takes.
    """

    oracle: Oracle
    size: int

    def __post_init__(self) -> None:
        """Refuse a size that cannot work."""
        limit = self.oracle.spec.max_batch
        if self.size < 1 or (limit is not None and self.size > limit):
            raise SpecError(
                f"{self.oracle.spec.name} takes 1 to {limit or 'any number of'} images a call, got {self.size}"
            )

    @property
    def spec(self) -> OracleSpec:
        """As inside, without a limit."""
        return replace(self.oracle.spec, max_batch=None)

    def query(self, images: Tensor) -> Answers:
        """Answer a batch of any size."""
        if images.ndim and len(images) <= self.size:
            return self.oracle.query(images)
        self.spec.check(images)
        return Answers.join([self.oracle.query(chunk) for chunk in torch.split(images, self.size)])


@dataclass(frozen=True, slots=True)
class HalvingOracle:
    """Asks about the halves of a batch that is refused, and about halves of these.

    For callers that do not record each answer themselves: what one half was answered is lost where the other one fails.
    """

    oracle: Oracle

    @property
    def spec(self) -> OracleSpec:
        """As inside."""
        return self.oracle.spec

    def query(self, images: Tensor) -> Answers:
        """Answer a batch. Raises `ImageRefused` where one of its images is refused alone."""
        try:
            return self.oracle.query(images)
        except BatchRefused:
            middle = len(images) // 2
            return Answers.join([self.query(images[:middle]), self.query(images[middle:])])
