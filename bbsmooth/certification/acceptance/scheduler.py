"""Images in the order of the seed, only as many ahead as the answer is sure to need."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from bbsmooth.certification.acceptance.case import AcceptingCase
from bbsmooth.certification.acceptance.claims import Acceptance
from bbsmooth.certification.acceptance.turns import Turn
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
    level: int
    started: float = field(default_factory=time.monotonic)


class UntilAnswered:
    """Hands out draws of images until the claims are answered; results in the order of the turns.

    An image is looked at when its turn comes, see `Acceptance.turn`. So the answer depends on the order and the votes
    alone. Everything that the budget holds is spent.

    Args:
        tickets: all images, in order.
        begin: opens the case of one at a level of pausing.
        acceptance: the claims, which are told what is found.
        budget: what may be spent.
    """

    def __init__(
        self,
        tickets: Sequence[Ticket],
        begin: Callable[[Ticket, int], AcceptingCase],
        acceptance: Acceptance,
        budget: RemainingBudget,
    ) -> None:
        """Nothing is begun yet."""
        self._begin = begin
        self._acceptance = acceptance
        self._budget = budget
        self._tickets = by_group(tickets)
        self._begun: dict[tuple[str, int], _Begun] = {}  # by group and place
        self.refused: BudgetExhausted | None = None

    def next_batch(self, size: int, *, waiting: bool) -> Batch[AcceptingCase] | None:
        """Up to `size` draws of the first images; fewer rather than draws that may not be needed."""
        cases = [begun.case for begun in self._open()]
        needy = [case for case in cases if case.backlog(Purpose.ESTIMATE)]
        if not needy:
            return None
        left = self._budget.left
        size = size if left is None else min(size, left)
        if size == 0:
            if not waiting:
                need = max(1, round(needy[0].expected))
                self.refused = BudgetExhausted(requested=need, remaining=0, purpose="answer the claim")
            return None
        return Purpose.ESTIMATE, take(cases, Purpose.ESTIMATE, size)

    def told(self, case: AcceptingCase) -> None:
        """Nothing is kept that could be stale."""

    def finished(self) -> Iterator[tuple[int, AcceptingCase, float]]:
        """(position, case, seconds) of the images whose turn has come; the claims have looked at them."""
        while (turn := self._acceptance.turn()) is not None:
            begun = self._begun.get((turn.group, turn.place))
            if begun is None or not self._at(begun, turn).case.settled:
                return
            del self._begun[turn.group, turn.place]
            self._acceptance.see(turn.group, begun.case.states, aside=begun.case.aside)
            yield begun.ticket.position, begun.case, time.monotonic() - begun.started
        self._begun.clear()

    def _at(self, begun: _Begun, turn: Turn) -> _Begun:
        """The same at the level of its turn."""
        if begun.level != turn.level:
            begun.level = turn.level
            begun.case.go_on(self._acceptance.plan.region(turn.level, begun.case.total_variation))
        return begun

    def _open(self) -> list[_Begun]:
        """Begin what may be begun, and return all that is at work, in the order of the turns."""
        coming = [
            (place, number, turn)
            for number, group in enumerate(self._tickets)
            for place, turn in enumerate(self._acceptance.coming(group))
        ]
        at_work = []
        for _, _, turn in sorted(coming, key=lambda each: each[:2]):
            key = turn.group, turn.place
            if key not in self._begun:
                ticket = self._tickets[turn.group][turn.place]
                self._begun[key] = _Begun(ticket, self._begin(ticket, turn.level), turn.level)
            at_work.append(self._at(self._begun[key], turn))
        return at_work


def by_group(tickets: Sequence[Ticket]) -> dict[str, list[Ticket]]:
    """The images of each group, in their order."""
    found: dict[str, list[Ticket]] = {}
    for ticket in tickets:
        found.setdefault(ticket.group, []).append(ticket)
    return found
