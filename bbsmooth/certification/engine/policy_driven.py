"""Images at work under a budget that need not suffice for all."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic

from bbsmooth.certification.engine.policies import Policy, Standing
from bbsmooth.certification.engine.scheduler import ORDER, Batch, C, Images, RemainingBudget, take
from oracles import BudgetExhausted, Purpose

WINDOW = 4096
"""Most images at work at once; each takes about 50 kB for n = 10,000."""

_REMEMBERED = 1000


@dataclass(slots=True, eq=False)
class _Lane(Generic[C]):
    """An image at work, with all equal ones, as of the latest answers.

    Attributes:
        case: of the image.
        digest: of the image.
        owners: (index, clock when it was opened) of each.
        turns: how often it was asked about.
        expected: queries until its verdict, as far as one can tell.
        index: of the policy.
        backlog: draws that can be asked about now, by purpose.
        chosen: whether its class is.
    """

    case: C
    digest: bytes
    owners: list[tuple[int, float]] = field(default_factory=list)
    turns: int = 0
    expected: float = 0.0
    index: float = 0.0
    backlog: dict[Purpose, int] = field(default_factory=dict)
    chosen: bool = False


class PolicyDriven(Generic[C]):
    """Of all images at work the one with the lowest index comes first; results as they are known.

    Another image is begun as soon as the policy prefers it to what is at work, or where a batch would not be full.
    Everything that the budget holds is spent, so that images may be left unfinished, with their answers on record.

    Args:
        images: to be begun.
        budget: what may be spent.
        policy: the order.
        num_selection: draws that choose the class of an image.
        window: most images at work at once.
    """

    def __init__(
        self, images: Images[C], budget: RemainingBudget, policy: Policy, num_selection: int, *, window: int = WINDOW
    ) -> None:
        """Nothing is begun yet."""
        self._images = images
        self._budget = budget
        self._policy = policy
        self._num_selection = num_selection
        self._window = window
        self._lanes: dict[bytes, _Lane[C]] = {}  # by image
        self._of: dict[int, _Lane[C]] = {}  # by identity of the case
        self._costs: dict[bytes, float] = {}  # from the selection on, at the dearest forecast; of the latest images
        self._fresh = 0.0  # index of the next image
        self._done: dict[bytes, _Lane[C]] = {}  # those of them that are finished
        self._ended = False  # no image waits to be begun
        self.refused: BudgetExhausted | None = None

    def next_batch(self, size: int, *, waiting: bool) -> Batch[C] | None:
        """See `Scheduler`."""
        left = self._budget.left
        size = size if left is None else min(size, left)
        if size == 0:
            self._give_up(waiting=waiting)
            return None
        self._fresh = self._policy.fresh(list(self._costs.values()), self._num_selection)
        while not self._done:
            if (batch := self._batch(size, least=size)) is not None:
                return batch
            if not self._open():
                break
        return None if waiting or self._done else self._batch(size, least=1)

    def told(self, case: C) -> None:
        """See `Scheduler`."""
        if (lane := self._of.get(id(case))) is not None:
            self._refresh(lane)

    def finished(self) -> Iterator[tuple[int, C, float]]:
        """See `Scheduler`."""
        while self._done:
            digest, lane = self._done.popitem()
            del self._lanes[digest], self._of[id(lane.case)]
            for index, started in lane.owners:
                yield index, lane.case, time.monotonic() - started

    @property
    def _may_open(self) -> bool:
        """Whether another image can be begun, and is not likely to starve those that are preferred to it."""
        if self._ended or len(self._lanes) >= self._window:
            return False
        left = self._budget.left
        if left is None or self._fresh == 0 or not self._lanes:
            return True
        needs = (lane.expected if lane.chosen else self._fresh for lane in self._lanes.values())
        return left - sum(need for need in needs if need <= self._fresh) >= self._fresh

    def _batch(self, size: int, *, least: int) -> Batch[C] | None:
        for purpose in ORDER:
            lanes = [lane for lane in self._lanes.values() if lane.backlog[purpose] and self._wanted(lane, purpose)]
            if sum(lane.backlog[purpose] for lane in lanes) >= least:
                lanes.sort(key=lambda lane: (lane.index, lane.owners[0]))
                parts = take((lane.case for lane in lanes), purpose, size)
                for lane in {id(case): self._of[id(case)] for case, _ in parts}.values():
                    lane.turns += 1
                    self._refresh(lane)
                return purpose, parts
        return None

    def _wanted(self, lane: _Lane[C], purpose: Purpose) -> bool:
        """Whether an image at work is preferred to one that is not begun."""
        return purpose is not Purpose.ESTIMATE or not self._may_open or lane.index <= self._fresh

    def _open(self) -> bool:
        """Open the next image; False where there is none or no room."""
        if not self._may_open:
            return False
        if (following := self._images.next(self._at_work)) is None:
            self._ended = True
            return False
        index, digest, case = following
        lane = self._lanes.setdefault(digest, _Lane(case, digest))
        lane.owners.append((index, time.monotonic()))
        self._of[id(case)] = lane
        self._refresh(lane)
        return True

    def _at_work(self, digest: bytes) -> C | None:
        return self._lanes[digest].case if digest in self._lanes else None

    def _refresh(self, lane: _Lane[C]) -> None:
        """Look at a case again; learn what it costs once its class is chosen."""
        case = lane.case
        lane.backlog = {purpose: case.backlog(purpose) for purpose in ORDER}
        lane.expected = case.expected
        lane.index = self._policy.index(Standing(expected=lane.expected, votes=case.votes, turns=lane.turns))
        if case.finished:
            self._done[lane.digest] = lane
        lane.chosen = lane.chosen or case.finished or lane.backlog[Purpose.ESTIMATE] > 0
        if lane.chosen:
            cost = lane.expected + max(0, case.votes - self._num_selection)
            self._costs[lane.digest] = max(cost, self._costs.get(lane.digest, 0.0))
            if len(self._costs) > _REMEMBERED:
                del self._costs[next(iter(self._costs))]

    def _give_up(self, *, waiting: bool) -> None:
        """Without any budget nothing goes on but what is on record."""
        if waiting or self._done or not (self._lanes or self._open()) or self._done:
            return
        lane = min(self._lanes.values(), key=lambda lane: lane.expected)
        self.refused = BudgetExhausted(
            requested=math.ceil(lane.expected), remaining=0, purpose=f"decide image {lane.owners[0][0]}"
        )
