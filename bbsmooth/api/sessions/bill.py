"""Costs of a certification that is forecast."""

from __future__ import annotations

from dataclasses import asdict, astuple, dataclass

from bbsmooth.api.sessions.fares import Fare, each
from bbsmooth.assemble.drift import LEAST
from bbsmooth.certification.forecast import Interval
from bbsmooth.runs.certificates import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """Costs of a certification besides its votes, and of a query.

    Args:
        images: that are asked about without noise.
        equal: images for each different one.
        canaries: of a remote model.
        canary_every: queries after which they are asked.
        seconds_per_query: in the pilot, None where a batch interface answered it.
        fare: what queries cost.
    """

    images: int
    equal: float
    canaries: int
    canary_every: int
    seconds_per_query: float | None
    fare: Fare

    def total(self, votes: Interval) -> Interval:
        """Queries for these votes and all that goes with them."""
        return Interval(*(self._with_canaries(number + self.images) for number in astuple(votes)))

    def record(self, votes: Interval) -> Record:
        """The queries, how long they take at the pilot's rate, and their price."""
        queries = self.total(votes)
        return {
            "queries": asdict(queries),
            "seconds": None if self.seconds_per_query is None else asdict(queries.times(self.seconds_per_query)),
            "price": self.priced(queries),
            **self.fare.record(queries),
        }

    def priced(self, queries: Interval) -> Record | None:
        """The price of queries."""
        return each(queries, self.fare.expected)

    def asked_alone(self, votes: float) -> float:
        """Queries of canaries that go with these votes, those for labels included."""
        return self.canaries * (LEAST + votes // self.canary_every)

    def _with_canaries(self, queries: float) -> float:
        return queries + self.asked_alone(queries)
