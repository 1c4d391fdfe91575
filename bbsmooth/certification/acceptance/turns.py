"""Which image of a group is looked at next: new ones in their order, and those that were set aside again."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import islice

from bbsmooth.certification.acceptance.pausing import LAST

_FIRST_CHECK = 64  # images after which it is first asked whether the level leads anywhere; then after 128, 256, ...


@dataclass(frozen=True, slots=True)
class Turn:
    """A look at an image.

    Attributes:
        group: of the image.
        place: of the image in the order of its group, from 0.
        level: of pausing.
    """

    group: str
    place: int
    level: int


@dataclass(slots=True)
class Turns:
    """The turns of one group. They depend on what came of the earlier ones, and on nothing else.

    Images are looked at in their order. Where that does not lead to an answer (no image is left, or after a power of
    two the counts point to none), the group goes on to the next level of pausing, and all that were set aside come
    again before any new one.

    Attributes:
        cap: most images.
        looked: images that had their first turn.
        level: of pausing.
        taken: turns so far.
        aside: places of the images that are set aside.
        again: places of those that come before any new image.
    """

    cap: int
    looked: int = 0
    level: int = 0
    taken: int = 0
    aside: list[int] = field(default_factory=list)
    again: deque[int] = field(default_factory=deque)

    @property
    def next(self) -> int | None:
        """Place of the image whose turn comes, None where none has one."""
        if self.again:
            return self.again[0]
        return self.looked if self.looked < self.cap else None

    @property
    def unfinished(self) -> list[int]:
        """Places of the images that had a turn and may have another."""
        return [*self.aside, *self.again]

    def coming(self, most: int) -> list[int]:
        """Places of the next turns, as far as is known."""
        found = list(islice(self.again, most))
        return found + list(range(self.looked, min(self.cap, self.looked + most - len(found))))

    def take(self, *, aside: bool) -> tuple[int, bool]:
        """Take the next turn, and return the place of its image and whether that is new.

        Args:
            aside: whether the image is set aside.

        Raises:
            ValueError: no image has a turn.
        """
        place = self.next
        if place is None:
            raise ValueError("no image is left to look at")
        new = not self.again
        if new:
            self.looked += 1
        else:
            self.again.popleft()
        if aside:
            self.aside.append(place)
        self.taken += 1
        return place, new

    @property
    def at_check(self) -> bool:
        """True if it is time to ask whether the level leads anywhere."""
        return self.looked >= _FIRST_CHECK and self.looked & (self.looked - 1) == 0 and not self.again

    def go_on(self, *, deeper: bool) -> None:
        """Go on to the next level where no image has a turn, or if told so."""
        while self.aside and self.level < LAST and (deeper or self.next is None):
            self.level += 1
            self.again, self.aside, deeper = deque(sorted(self.aside)), [], False
