"""Many images in rounds: each asks about all that is wanted at once, and waits until it is answered."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from bbsmooth.certification.cases.certifying import CertifyingCase
from bbsmooth.certification.cases.labelled import LabelledCase
from bbsmooth.certification.cases.votes import VoteSource
from bbsmooth.certification.engine.looks import Looks
from oracles import BudgetExhausted, Purpose
from oracles.recording import REFUSED, UNANSWERED

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Consecutive draws of one image that are asked about.

    Attributes:
        index: of the image.
        purpose: what they are for.
        stream: names the noise.
        first: number of the first draw.
        count: how many.
    """

    index: int
    purpose: Purpose
    stream: bytes
    first: int
    count: int


class Asker(Protocol):
    """Asks about many draws at once."""

    @property
    def looks(self) -> int:
        """How often it was asked for more than another try, in earlier processes too."""
        ...

    def drain(self) -> None:
        """Bring what earlier processes have asked to its end."""
        ...

    def ask(self, wanted: Sequence[Wanted], *, look: bool) -> None:
        """Ask about draws, none of which is on record; their answers are when this returns, as far as there are any.

        Args:
            wanted: the draws.
            look: whether that is a look, rather than another try for draws that came back without an answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Need:
    """What an image needs now.

    Attributes:
        index: of the image.
        parts: the draws.
        look: whether more is asked than what came back without an answer.
    """

    index: int
    parts: list[Wanted]
    look: bool

    @property
    def cost(self) -> int:
        return sum(part.count for part in self.parts)


@dataclass(slots=True, kw_only=True)
class Rounds:
    """The rounds of a certification.

    Args:
        image: loads an image (C, H, W) uint8 by its index.
        open_case: from an image to its case, with the votes on record.
        source: names the streams, and knows the votes on record.
        asker: asks.
        looks: when to look.
        labelled: whether the oracle is asked for the label of each image.
        in_turn: whether the first images are paid for first, each whole; else those that take the fewest draws now.
        remaining: queries that may be spent, None for no limit.
    """

    image: Callable[[int], Tensor]
    open_case: Callable[[Tensor], LabelledCase]
    source: VoteSource
    asker: Asker
    looks: Looks
    labelled: bool
    in_turn: bool
    remaining: Callable[[], int | None]
    _first: int = field(init=False, default=0)

    def run(self, indices: Sequence[int]) -> Iterator[tuple[int, LabelledCase, float]]:
        """Bring images to their verdicts.

        Yields:
            (index, finished case, seconds), after each round those that are finished then.

        Raises:
            BudgetExhausted: nothing more can be paid for, and images are left.
            OracleError: from the oracle or the record.
        """
        started, left = time.monotonic(), list(indices)
        self.asker.drain()
        while left:
            waiting = []
            for index in left:
                case = self.open_case(self.image(index))
                if case.finished:
                    yield index, case, time.monotonic() - started
                else:
                    waiting.append(index)
            left = waiting
            if left:
                self._ask(left)

    def _ask(self, indices: Sequence[int]) -> None:
        self._first = self.looks.first(self._selection_votes(indices))
        needs = {need.parts[0].stream: need for need in map(self._need, indices)}  # equal images share their draws
        chosen = self._affordable(list(needs.values()))
        self.asker.ask([part for need in chosen for part in need.parts], look=any(need.look for need in chosen))

    def _affordable(self, needs: list[_Need]) -> list[_Need]:
        """The needs that the budget pays for.

        Raises:
            BudgetExhausted: there is none.
        """
        left, chosen = self.remaining(), []
        if left is None:
            return needs
        available = left
        for need in needs if self.in_turn else sorted(needs, key=lambda need: need.cost):
            if need.cost > available:
                break
            chosen.append(need)
            available -= need.cost
        if not chosen:
            least = needs[0] if self.in_turn else min(needs, key=lambda need: need.cost)
            raise BudgetExhausted(requested=least.cost, remaining=max(0, left), purpose=f"decide image {least.index}")
        return chosen

    def _selection_votes(self, indices: Sequence[int]) -> list[tuple[int, int]]:
        """Votes for the leading class, and all, of the images of which some selection draws are on record."""
        found = []
        for index in indices:
            stream = self.source.stream(self.image(index), Purpose.SELECT)
            labels = self.source.log.read(stream, 0, self.looks.plan.num_selection)
            counts = Counter(labels[(labels != UNANSWERED) & (labels != REFUSED)].tolist())
            if counts:
                found.append((max(counts.values()), counts.total()))
        return found

    def _need(self, index: int) -> _Need:
        """The draws of an unfinished image that are asked about now."""
        image = self.image(index)
        case = self.open_case(image).case
        if not isinstance(case, CertifyingCase):
            raise TypeError("rounds are for certifications with a judge")
        estimation = self._until(image, case)
        wanted = [(Purpose.SELECT, self.looks.plan.num_selection), (Purpose.ESTIMATE, estimation)]
        parts = [
            part
            for purpose, until in ([(Purpose.PREDICT, 1)] if self.labelled else []) + wanted
            for part in missing(self.source, index, image, purpose, until)
        ]
        return _Need(index, parts, case.selection is None or estimation > self._answered(image))

    def _until(self, image: Tensor, case: CertifyingCase) -> int:
        """Estimation draws that should be known before the next look: no more where there are gaps in them."""
        answered = self._answered(image)
        if case.selection is None:
            return max(answered, self._first)
        if len(case.hits) < answered or case.finished:
            return answered
        left = self.looks.most - self.asker.looks if answered else self.looks.most
        return self.looks.next(case.selection, case.hits, looks=max(1, left))

    def _answered(self, image: Tensor) -> int:
        """Estimation draws up to the last one on record."""
        stream = self.source.stream(image, Purpose.ESTIMATE)
        known = np.flatnonzero(self.source.log.read(stream, 0, self.looks.plan.max_estimation) != UNANSWERED)
        return int(known[-1]) + 1 if len(known) else 0


def missing(source: VoteSource, index: int, image: Tensor, purpose: Purpose, until: int) -> Iterator[Wanted]:
    """The draws of an image below `until` that are not on record, in pieces."""
    if not until:
        return
    stream = source.stream(image, purpose)
    unknown = source.log.read(stream, 0, until) == UNANSWERED
    edges = np.flatnonzero(np.diff(unknown, prepend=False, append=False)).reshape(-1, 2)
    for start, stop in edges.tolist():
        yield Wanted(index=index, purpose=purpose, stream=stream, first=start, count=stop - start)
