"""Votes of one stream looked at in the order of their draws, whatever order the answers come in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bbsmooth.certification.cases.votes import Draws, VoteSource
from oracles import Purpose
from oracles.recording import REFUSED, UNANSWERED

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


@dataclass(slots=True)
class OrderedVotes:
    """Votes of one stream.

    Attributes:
        image: (C, H, W) uint8.
        stream: its name.
        labels: (most,) by draw, `UNANSWERED` where there is no answer yet.
        asked: (most,) whether somebody was asked about a draw.
        known: draws 0 to `known - 1` are answered.
        refused: the first draw known to be refused, `most` while there is none.
    """

    image: Tensor
    stream: bytes
    labels: NDArray[np.int32]
    asked: NDArray[np.bool_]
    known: int
    refused: int

    @classmethod
    def open(
        cls, source: VoteSource, image: Tensor, purpose: Purpose, most: int, *, occurrence: int = 0
    ) -> OrderedVotes:
        """Go on from the votes on record among draws 0 to `most - 1`; `occurrence` as for `VoteSource.stream`."""
        stream = source.stream(image, purpose, occurrence)
        labels = source.log.read(stream, 0, most)
        votes = cls(image, stream, labels, labels != UNANSWERED, 0, most)
        votes._look(0, labels)
        return votes

    def backlog(self, until: int) -> int:
        """Draws below `until` that nobody was asked about yet."""
        return int(until - self.known - np.count_nonzero(self.asked[self.known : until])) if until > self.known else 0

    def take(self, most: int) -> Draws:
        """The next draws in one piece that nobody was asked about, at most `most`. There must be one."""
        first = self.known + int(np.argmin(self.asked[self.known :]))
        piece = self.asked[first : first + most]
        count = int(np.argmax(piece)) if piece.any() else len(piece)
        piece[:count] = True
        return Draws(self.image, self.stream, first, count)

    def tell(self, draws: Draws, labels: Tensor) -> None:
        """Take down the answers to draws that were taken."""
        self.labels[draws.first : draws.first + draws.count] = labels.numpy()
        self._look(draws.first, self.labels[draws.first : draws.first + draws.count])

    def _look(self, first: int, labels: NDArray[np.int32]) -> None:
        refused = labels == REFUSED
        if refused.any():
            self.refused = min(self.refused, first + int(np.argmax(refused)))
        rest = self.labels[self.known :] == UNANSWERED
        self.known = self.known + int(np.argmax(rest)) if rest.any() else len(self.labels)
