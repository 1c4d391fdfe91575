"""Replies of workers, in a form that can travel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oracles import Answers, OracleError, OracleSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReply:
    """Answers, or why there are none.

    Attributes:
        labels: (B,) int32 class numbers, in the worker's numbering.
        scores: (B, K) float32 or None.
        names: of the worker's classes where they are an open set, whose numbers mean nothing elsewhere; else None.
        identity: what the model has said of itself so far.
        traffic: what went over the wire since the worker was last asked, see `oracles.traffic.Traffic.as_json`.
        error: what the oracle raised, None where it answered.
    """

    labels: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    scores: NDArray[np.float32] | None = None
    names: tuple[str, ...] | None = None
    identity: Mapping[str, str] = field(default_factory=dict)
    traffic: Mapping[str, Any] = field(default_factory=dict)
    error: OracleError | None = None

    @staticmethod
    def answered(answers: Answers, spec: OracleSpec, *, scores: bool) -> WorkerReply:
        """Answers of an oracle, with their scores if these are wanted."""
        kept = answers.scores.numpy() if scores and answers.scores is not None else None
        names = spec.classes.names if spec.classes.open_set else None
        return WorkerReply(labels=answers.labels.numpy().astype(np.int32), scores=kept, names=names)

    def answers(self, spec: OracleSpec) -> Answers:
        """The answers, with classes numbered as in `spec`.

        Raises:
            OracleError: what the oracle raised.
        """
        if self.error is not None:
            raise self.error
        labels = torch.from_numpy(self.labels.astype(np.int64))
        scores = None if self.scores is None else torch.from_numpy(self.scores.copy())
        if self.names is None:
            return Answers(labels, scores)
        numbers = torch.tensor([spec.classes.number(name) for name in self.names])
        return Answers(numbers[labels], None if scores is None else _moved(scores, numbers, len(spec.classes)))


def _moved(scores: Tensor, numbers: Tensor, classes: int) -> Tensor:
    """Scores (B, k) in columns `numbers` of (B, classes), with NaN in the others."""
    wide = torch.full((len(scores), classes), torch.nan)
    wide[:, numbers[: scores.shape[1]]] = scores
    return wide
