"""Where the answers of jobs are written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from oracles.oracle import Answers
from oracles.recording import REFUSED, UNANSWERED, AnswerLog, VoteLog
from oracles.remote.batches.journal import Piece


class AnswerRecord(Protocol):
    """Keeps the answers to draws, in the store that the journal of their jobs is in."""

    def write(self, piece: Piece, answers: Mapping[int, Answers | None]) -> None:
        """Write down answers; a draw that has one keeps it.

        Args:
            piece: the draws.
            answers: to those of them that have one, by number; None for an image that is refused.
        """
        ...


@dataclass(frozen=True, slots=True)
class VoteRecord:
    """Keeps labels, as votes.

    Args:
        votes: where.
    """

    votes: VoteLog

    def write(self, piece: Piece, answers: Mapping[int, Answers | None]) -> None:
        """See `AnswerRecord.write`."""
        labels = np.full(piece.count, UNANSWERED, dtype=np.int64)
        for draw, answer in answers.items():
            labels[draw - piece.first] = REFUSED if answer is None else int(answer.labels[0])
        known = self.votes.read(piece.stream, piece.first, piece.count)
        fresh = (known == UNANSWERED) & (labels != UNANSWERED)
        edges = np.flatnonzero(np.diff(fresh, prepend=False, append=False)).reshape(-1, 2).tolist()
        self.votes.write(
            [(piece.stream, piece.first + start, torch.from_numpy(labels[start:stop].copy())) for start, stop in edges]
        )


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """Keeps whole answers: a piece is a batch of images called by its stream, a draw an image of it.

    Args:
        log: where.
    """

    log: AnswerLog

    def write(self, piece: Piece, answers: Mapping[int, Answers | None]) -> None:
        """See `AnswerRecord.write`."""
        self.log.write(piece.stream, answers)
