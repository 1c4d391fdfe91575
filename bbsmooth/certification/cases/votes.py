"""Labels of noisy copies: from draws to votes, each recorded before it is counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bbsmooth.noise.copies import Copies
from oracles import Classes, ImageRefused, Oracle, Purpose, VoteLog
from oracles.pixels import require_images
from oracles.recording import REFUSED, UNANSWERED

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Draws:
    """Consecutive draws of one image.

    Attributes:
        image: (C, H, W) uint8.
        stream: names the noise.
        first: number of the first draw.
        count: how many.
    """

    image: Tensor
    stream: bytes
    first: int
    count: int

    def split(self, count: int) -> tuple[Draws, Draws]:
        """The first `count` of them, and the rest."""
        return (
            Draws(self.image, self.stream, self.first, count),
            Draws(self.image, self.stream, self.first + count, self.count - count),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteSource:
    """Gives votes on noisy copies of images.

    Args:
        oracles: the classifier to ask, by purpose, so that each is charged to its own account.
        log: keeps every vote.
        copies: what is drawn. Selection and estimation have streams of their own, so they never share a draw.
        clean: purposes for which images are asked about as they are.
        interrupt: makes calls of the oracles that wait, in any thread, give up at once.
    """

    oracles: Mapping[Purpose, Oracle]
    log: VoteLog
    copies: Copies
    clean: frozenset[Purpose] = frozenset()
    interrupt: Callable[[], None] = lambda: None

    def stream(self, image: Tensor, purpose: Purpose, occurrence: int = 0) -> bytes:
        """The name of the stream of the draws of an image (C, H, W) uint8.

        Args:
            image: the image.
            purpose: of the draws.
            occurrence: equal images before it that have streams of their own; 0 where equal images share their draws.

        Raises:
            ShapeError: it is no such image.
        """
        require_images(image, batch=False)
        return self.copies.stream(image, f"{purpose.value} {occurrence}" if occurrence else purpose.value)

    def recorded(self, image: Tensor, purpose: Purpose, size: int) -> bool:
        """True if the answers to draws 0 to `size - 1` of an image are on record."""
        return not (self.log.read(self.stream(image, purpose), 0, size) == UNANSWERED).any()

    def votes(self, batch: Sequence[Draws], purpose: Purpose) -> list[Tensor]:
        """Ask about a batch of draws, in one call of the oracle unless it refuses.

        Where it refuses the batch, halves are asked about, and halves of these, until it is known which draws it
        refuses. What is answered is on record before the next call.

        Returns:
            For each entry its labels (count,), all of them in the log; `REFUSED` for draws that the oracle refuses.
        """
        return self._ask(batch, purpose)

    def _ask(self, batch: Sequence[Draws], purpose: Purpose) -> list[Tensor]:
        import torch

        try:
            labels = self.oracles[purpose].query(self.shown(batch, purpose)).labels
        except ImageRefused:
            if sum(draws.count for draws in batch) > 1:
                return self._ask_halves(batch, purpose)
            labels = torch.tensor([REFUSED])
        parts = [labels] if len(batch) == 1 else list(torch.split(labels, [draws.count for draws in batch]))
        self.log.write([(draws.stream, draws.first, part) for draws, part in zip(batch, parts, strict=True)])
        return parts

    def shown(self, batch: Sequence[Draws], purpose: Purpose) -> Tensor:
        """The images (B, C, H, W) that are asked about for draws, in their order."""
        import torch

        if purpose in self.clean:
            return torch.cat([draws.image.expand(draws.count, *draws.image.shape) for draws in batch])
        drawn = self.copies.draw
        parts = [drawn(one.image, one.stream, first=one.first, count=one.count) for one in batch]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _ask_halves(self, batch: Sequence[Draws], purpose: Purpose) -> list[Tensor]:
        import torch

        left = sum(draws.count for draws in batch) // 2
        halves: tuple[list[Draws], list[Draws]] = [], []
        places: tuple[list[int], list[int]] = [], []
        for place, draws in enumerate(batch):
            for side, piece in enumerate(draws.split(min(left, draws.count))):
                if piece.count:
                    halves[side].append(piece)
                    places[side].append(place)
            left = max(0, left - draws.count)
        labels: list[list[Tensor]] = [[] for _ in batch]
        for half, owners in zip(halves, places, strict=True):
            for place, part in zip(owners, self._ask(half, purpose), strict=True):
                labels[place].append(part)
        return [torch.cat(parts) for parts in labels]


def select(votes: Mapping[int, int], classes: Classes) -> int:
    """The class with the most votes; of equals the lowest number, in an open set the first name in the alphabet.

    The choice may not depend on the order in which answers arrived, which is what numbers an open set's classes.
    """
    most = max(votes.values())
    return min(
        (number for number, count in votes.items() if count == most),
        key=lambda number: (classes.name(number) if classes.open_set else "", number),
    )
