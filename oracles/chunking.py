"""Batches of any size for an oracle that takes only small ones."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from oracles.errors import SpecError
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
    spec: OracleSpec = field(init=False)

    def __post_init__(self) -> None:
        """Refuse a size that cannot work."""
        limit = self.oracle.spec.max_batch
        if self.size < 1 or (limit is not None and self.size > limit):
            raise SpecError(
                f"{self.oracle.spec.name} takes 1 to {limit or 'any number of'} images a call, got {self.size}"
            )
        object.__setattr__(self, "spec", replace(self.oracle.spec, max_batch=None))

    def query(self, images: Tensor) -> Answers:
        """Answer a batch of any size."""
        self.spec.check(images)
        chunks = torch.split(images, self.size) if len(images) > self.size else [images]
        return Answers.join([self.oracle.query(chunk) for chunk in chunks])
