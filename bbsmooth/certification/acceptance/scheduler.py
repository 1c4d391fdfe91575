"""Images in the order of the seed, only as many ahead as the answer is sure to need."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from bbsmooth.certification.acceptance.case import AcceptingCase
from bbsmooth.certification.acceptance.claims import Acceptance
from bbsmooth.certification.engine.scheduler import Batch, RemainingBudget, take
from oracles import BudgetExhausted, Purpose


@dataclass(frozen=True, slots=True)
class Ticket:
    """An image at its place in the order.

    Attributes:
        position: in the order.
        index: of the image in the data.
        group: that it belongs to.
        occurrence: equal images before it in the order.
    """

    position: int
    index: int
    group: str
    occurrence: int = 0


@dataclass(slots=True)
class _Begun:
    ticket: Ticket
    case: AcceptingCase
    started: float = field(default_factory=time.monotonic)


class UntilAnswered:
    """Hands out draws of images until the claims are answered; results in the order of the tickets.

    An image is looked at when its turn comes: when every image before it of which a claim wanted to know is. So the
    answer depends on the order and the votes alone. Everything that the budget holds is spent.

    Args:
        tickets: all images, in order.
        begin: opens the case of one.
        acceptance: the claims, which is told what is found.
        budget: what may be spent.
    """

    def __init__(
        self,
        tickets: Sequence[Ticket],
        begin: Callable[[Ticket], AcceptingCase],
        acceptance: Acceptance,
        budget: RemainingBudget,
    ) -> None:
        """Nothing is begun yet."""
        self._begin = begin
        self._acceptance = acceptance
        self._budget = budget
        self._waiting: dict[str, deque[Ticket]] = {group: deque() for group in acceptance.groups}
        for ticket in tickets:
            self._waiting[ticket.group].append(ticket)
        self._begun: dict[int, _Begun] = {}  # by position
        self.refused: BudgetExhausted | None = None

    def next_batch(self, size: int, *, waiting: bool) -> Batch[AcceptingCase] | None:
        """Up to `size` draws of the first images; fewer rather than draws that may not be needed."""
        self._open()
        cases = [self._begun[position].case for position in sorted(self._begun)]
        if not any(case.backlog(Purpose.ESTIMATE) for case in cases):
            return None
        left = self._budget.left
        size = size if left is None else min(size, left)
        if size == 0:
            if not waiting:
                position = min(self._begun)
                need = max(1, round(self._begun[position].case.expected))
                self.refused = BudgetExhausted(requested=need, remaining=0, purpose="answer the claim")
            return None
        return Purpose.ESTIMATE, take(cases, Purpose.ESTIMATE, size)

    def told(self, case: AcceptingCase) -> None:
        """Nothing is kept that could be stale."""

    def finished(self) -> Iterator[tuple[int, AcceptingCase, float]]:
        """(position, case, seconds) of the images whose turn has come; the claims have looked at them."""
        while (position := self._turn()) is not None:
            begun = self._begun.get(position)
            if begun is None or not begun.case.finished:
                return
            del self._begun[position]
            self._acceptance.see(begun.ticket.group, begun.case.states)
            yield position, begun.case, time.monotonic() - begun.started
        if self._acceptance.answered:
            self._begun.clear()

    def _turn(self) -> int | None:
        """The position that comes next: the first of a group that wants one."""
        wanted = [group for group in self._waiting if self._acceptance.wants(group)]
        for position, begun in list(self._begun.items()):
            if begun.ticket.group not in wanted:
                del self._begun[position]
        coming = [tickets[0].position for group, tickets in self._waiting.items() if group in wanted and tickets]
        return min([*self._begun, *coming], default=None)

    def _open(self) -> None:
        """Begin what may be begun."""
        at_work = dict.fromkeys(self._waiting, 0)
        for begun in self._begun.values():
            at_work[begun.ticket.group] += 1
        for group, tickets in self._waiting.items():
            for _ in range(self._acceptance.ahead(group) - at_work[group]):
                if tickets:
                    ticket = tickets.popleft()
                    self._begun[ticket.position] = _Begun(ticket, self._begin(ticket))
