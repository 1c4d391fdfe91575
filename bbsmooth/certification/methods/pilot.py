"""A pilot: what the first selection draws of some images say, before any estimation draw is asked about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bbsmooth.certification.cases.counted import CountedCase
from bbsmooth.certification.cases.votes import VoteSource, select
from oracles import Classes, Purpose

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Pilot:
    """Votes of some images, chosen by chance among those to be certified.

    Attributes:
        votes: for the class that each image's draws chose.
        draws: of each image.
        others: for each image the votes for other classes; empty where they were not kept.
        unanswered: further images whose certification ends with the selection, since the oracle declines to answer.

    Raises:
        ValueError: no image, or votes that cannot be.
    """

    votes: tuple[int, ...]
    draws: int
    others: tuple[tuple[int, ...], ...] = ()
    unanswered: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot have been counted."""
        if not self.images or not all(0 <= votes <= self.draws for votes in self.votes):
            raise ValueError(f"a pilot needs images with 0 to {self.draws} votes each, got {self.votes}")

    @property
    def images(self) -> int:
        """Number of images."""
        return len(self.votes) + self.unanswered


class PilotCase(CountedCase):
    """The first selection draws of one image, the very ones that its certification begins with.

    Since no certificate counts on them, whoever has seen them may still choose radii, alpha, n and the method.

    Args:
        image: (C, H, W) uint8.
        draws: how many.
        source: gives the votes, and knows those on record.
        classes: of the oracle.
    """

    def __init__(self, image: Tensor, draws: int, source: VoteSource, classes: Classes) -> None:
        """Go on from the votes on record."""
        super().__init__(image, Purpose.SELECT, draws, source, classes)

    def counts(self) -> tuple[int, ...] | None:
        """Votes for the class that would be chosen, then for each other class; None where there is no answer."""
        counts = self._tally.counts
        if self._tally.refused or not self._classes.is_answer(selected := select(counts, self._classes)):
            return None
        return counts[selected], *sorted((counts[other] for other in counts if other != selected), reverse=True)

    def votes_for(self, label: int) -> int | None:
        """Votes for one class, None where the oracle refused a draw."""
        return None if self._tally.refused else self._tally.counts[label]
