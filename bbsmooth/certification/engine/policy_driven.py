"""Images at work under a budget that need not suffice for all."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Generic

from bbsmooth.certification.engine.policies import Policy, Standing
from bbsmooth.certification.engine.scheduler import ORDER, Batch, C, Images, RemainingBudget, take
from oracles import BudgetExhausted, Purpose

WINDOW = 4096
"""Most images at work at once; each takes about 50 kB for n = 10,000."""

_REMEMBERED = 1000


@dataclass(slots=True, eq=False)
class _Begun(Generic[C]):
    """An image at work, with all equal ones, as of the latest answers.

    Attributes:
        case: of the image.
        digest: of the image.
        owners: (index, clock when it was opened) of each.
        turns: how often it was asked about.
        votes: draws asked about.
        expected: queries until its verdict, as far as one can tell.
        index: of the policy.
        backlog: draws that can be asked about now, by purpose.
        chosen: whether its class is.
    """

    case: C
    digest: bytes
    owners: list[tuple[int, float]] = field(default_factory=list)
    turns: int = 0
    votes: int = 0
    expected: float = 0.0
    index: float = 0.0
    backlog: dict[Purpose, int] = field(default_factory=dict)
    chosen: bool = False


class PolicyDriven(Generic[C]):
    """Of all images at work the one with the lowest index comes first; results as they are known.

    Another image is begun as soon as the policy prefers it to what is at work, and to fill a batch that would not be
    full, as long as the budget is likely to reach it. Images whose class is on record already cost nothing to begin:
    all that come first are begun at once. Everything that the budget holds is spent, so that images may be left
    unfinished, with their answers on record.

    Args:
        images: to be begun.
        budget: what may be spent.
        policy: the order.
        num_selection: draws that choose the class of an image.
        max_estimation: most that a decision takes beyond them.
        window: most images at work at once.
    """

    def __init__(
        self,
        images: Images[C],
        budget: RemainingBudget,
        policy: Policy,
        *,
        num_selection: int,
        max_estimation: int,
        window: int = WINDOW,
    ) -> None:
        """Nothing is begun yet."""
        self._images = images
        self._budget = budget
        self._policy = policy
        self._num_selection = num_selection
        self._max_estimation = max_estimation
        self._window = window
        self._begun: dict[bytes, _Begun[C]] = {}  # by image
        self._of: dict[int, _Begun[C]] = {}  # by identity of the case
        self._costs: dict[bytes, float] = {}  # from the selection on, as forecast; of the latest images
        self._fresh: float | None = None  # index of the next image; None where it has to be computed anew
        self._done: dict[bytes, _Begun[C]] = {}  # those of them that are finished
        self._ended = False  # no image waits to be begun
        self._recorded = True  # the next image may be on record
        self.refused: BudgetExhausted | None = None

    def next_batch(self, size: int, *, waiting: bool) -> Batch[C] | None:
        """A full batch; a smaller one only where neither images nor answers could fill it up."""
        left = self._budget.left
        size = size if left is None else min(size, left)
        if size == 0:
            self._give_up(waiting=waiting)
            return None
        while self._recorded and self._open():
            pass
        while not self._done:
            may_open = self._may_open(left)
            wanted = self._wanted(left, may_open=may_open)
            if (batch := self._batch(wanted, size, least=size)) is not None:
                return batch
            if not (may_open and self._open()):
                break
        return None if waiting or self._done else self._batch(self._wanted(left, may_open=False), size, least=1)

    def told(self, case: C) -> None:
        """Look again at a case that was told answers."""
        if (begun := self._of.get(id(case))) is not None:
            self._refresh(begun)

    def finished(self) -> Iterator[tuple[int, C, float]]:
        """(index, case, seconds) of the images that are finished."""
        while self._done:
            digest, begun = self._done.popitem()
            del self._begun[digest], self._of[id(begun.case)]
            for index, started in begun.owners:
                yield index, begun.case, time.monotonic() - started

    @property
    def _price(self) -> float:
        """The index of an image that is not begun."""
        if self._fresh is None:
            costs = list(self._costs.values())
            self._fresh = self._policy.fresh(costs, self._num_selection, self._max_estimation)
        return self._fresh

    def _may_open(self, left: int | None) -> bool:
        """True if another image can be begun, and is not likely to starve those that are preferred to it."""
        if self._ended or len(self._begun) >= self._window:
            return False
        price = self._price
        if left is None or price == 0 or not self._begun:
            return True
        needs = (begun.expected if begun.chosen else price for begun in self._begun.values())
        return left - sum(need for need in needs if need <= price) >= price

    def _wanted(self, left: int | None, *, may_open: bool) -> list[_Begun[C]]:
        """The images at work whose draws the budget is for, in their order.

        Those that are preferred to one that is not begun; where none can be begun, those that the budget is expected to
        finish, and always the first. What else a batch had room for would be paid for in vain.
        """
        price = self._price
        worth = {digest: begun.index if begun.chosen else price for digest, begun in self._begun.items()}
        order = sorted(self._begun.values(), key=lambda begun: (worth[begun.digest], begun.owners[0]))
        if may_open:
            return [begun for begun in order if worth[begun.digest] <= price]
        if left is None or price == 0:
            return order
        needed = accumulate(begun.expected if begun.chosen else price for begun in order)
        return order[: max(1, sum(need <= left for need in needed))]

    def _batch(self, wanted: list[_Begun[C]], size: int, *, least: int) -> Batch[C] | None:
        """The draws that come next, of one purpose; None where there are fewer than `least`."""
        for purpose in ORDER:
            ready = [begun for begun in wanted if begun.backlog[purpose]]
            if ready and sum(begun.backlog[purpose] for begun in ready) >= least:
                parts = take((begun.case for begun in ready), purpose, size)
                for case, draws in parts:
                    self._taken(self._of[id(case)], purpose, draws.count)
                return purpose, parts
        return None

    def _taken(self, begun: _Begun[C], purpose: Purpose, count: int) -> None:
        begun.turns += 1
        begun.votes += count
        begun.backlog[purpose] -= count
        begun.index = self._index(begun)

    def _open(self) -> bool:
        """Open the next image; False where there is none."""
        if self._ended or len(self._begun) >= self._window:
            self._recorded = False
            return False
        if (following := self._images.next(self._at_work)) is None:
            self._ended = True
            return False
        index, digest, case = following
        begun = self._begun.setdefault(digest, _Begun(case, digest))
        begun.owners.append((index, time.monotonic()))
        self._of[id(case)] = begun
        self._refresh(begun)
        self._recorded = begun.chosen
        return True

    def _at_work(self, digest: bytes) -> C | None:
        return self._begun[digest].case if digest in self._begun else None

    def _refresh(self, begun: _Begun[C]) -> None:
        """Look at a case again; learn what it costs once its class is chosen."""
        case = begun.case
        begun.backlog = {purpose: case.backlog(purpose) for purpose in ORDER}
        begun.expected, begun.votes = case.expected, case.votes
        begun.index = self._index(begun)
        if case.finished:
            self._done[begun.digest] = begun
        begun.chosen = begun.chosen or case.finished or begun.backlog[Purpose.ESTIMATE] > 0
        if begun.chosen:
            self._learn(begun.digest, begun.expected + max(0, begun.votes - self._num_selection))

    def _index(self, begun: _Begun[C]) -> float:
        return self._policy.index(Standing(expected=begun.expected, votes=begun.votes, turns=begun.turns))

    def _learn(self, digest: bytes, cost: float) -> None:
        """Remember what an image costs, at its dearest forecast, for the price of the next."""
        if cost <= self._costs.get(digest, 0.0):
            return
        self._costs[digest], self._fresh = cost, None
        if len(self._costs) > _REMEMBERED:
            del self._costs[next(iter(self._costs))]

    def _give_up(self, *, waiting: bool) -> None:
        """Without any budget nothing goes on but what is on record."""
        if waiting or self._done or not (self._begun or self._open()) or self._done:
            return
        begun = min(self._begun.values(), key=lambda begun: begun.expected)
        self.refused = BudgetExhausted(
            requested=math.ceil(begun.expected), remaining=0, purpose=f"decide image {begun.owners[0][0]}"
        )
