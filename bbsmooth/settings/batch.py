"""Settings of asking through a vendor's batch interface."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated

from bbsmooth.errors import UsageError
from bbsmooth.settings.certify import STOPS_EARLY
from bbsmooth.settings.common import OracleConfig
from bbsmooth.settings.option import Needs, Option, Panel
from oracles import Budget
from oracles.price_tables import in_one_line

LOOKS = 4
"""Usual most rounds of a sequential certification by batch."""

DISCOUNT = 0.5
"""Of OpenAI, Anthropic, Google and Mistral (read in November 2026)."""

_BY_BATCH = Needs("batch")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchConfig:
    """How to ask through a batch interface, on which no result depends.

    Raises:
        UsageError: what cannot be.
    """

    batch: Annotated[
        bool,
        Option(
            "Ask through the vendor's batch interface, at about half the price and within hours: OpenAI and "
            "compatible services, Mistral (openai+), Anthropic, Gemini. A run that is stopped while jobs are under way "
            "picks their answers up with `resume`.",
            panel=Panel.BUDGET,
        ),
    ] = False
    looks: Annotated[
        int,
        Option(
            "With `batch` and sequential: most rounds of jobs. More take longer and fewer queries.",
            panel=Panel.BUDGET,
            least=1,
            needs=(_BY_BATCH, STOPS_EARLY),
        ),
    ] = LOOKS
    batch_discount: Annotated[
        float | None,
        Option(
            "With `batch`: share of `price` and `prices` that it saves. Without it what `prices` says, else 0.5.",
            "SHARE",
            Panel.BUDGET,
            needs=(_BY_BATCH,),
        ),
    ] = None
    batch_poll: Annotated[
        float,
        Option("With `batch`: seconds between two looks at the jobs.", "SECONDS", Panel.BUDGET, needs=(_BY_BATCH,)),
    ] = 60.0

    def __post_init__(self) -> None:
        """Refuse what cannot be, of whatever type."""
        if not _is(int, self.looks) or self.looks < 1:
            raise UsageError(f"`looks` must be a whole number of at least 1, got {self.looks!r}")
        if not _is((int, float), self.discount) or not 0 <= self.discount < 1:
            raise UsageError(f"`batch_discount` must be a share from 0 to below 1, got {self.batch_discount!r}")
        if not _is((int, float), self.batch_poll) or not 0 < self.batch_poll < math.inf:
            raise UsageError(f"`batch_poll` must be a number of seconds above 0, got {self.batch_poll!r}")

    def price(self, price: float | None) -> float | None:
        """Price of 1,000 queries by batch, from that of 1,000 asked alone; None where that is not known."""
        return None if price is None else price * (1 - self.discount)

    @property
    def discount(self) -> float:
        """Share of the price that it saves."""
        return DISCOUNT if self.batch_discount is None else self.batch_discount

    def priced_as(self, oracle: OracleConfig) -> BatchConfig:
        """The same with the discount that the oracle's prices tell, where the user says none.

        Raises:
            UsageError: prices in tiers, of which nobody knows how answers by batch and others share them.
        """
        table = oracle.price_table
        if self.batch and table is not None and table.tiered:
            raise UsageError("`prices` in tiers do not go with `batch`: say the price that your tier has now")
        if self.batch_discount is not None or table is None or table.batch_discount is None:
            return self
        return replace(self, batch_discount=float(table.batch_discount))

    def limits(self, oracle: OracleConfig) -> Budget:
        """The oracle's limits, with what a batch costs where one is asked."""
        limits = oracle.limits
        if not self.batch:
            return limits
        return replace(limits, batch_price_per_1000=self.price(oracle.price), batch_discount=self.discount)

    def paid(self, oracle: OracleConfig) -> OracleConfig:
        """How to ask the oracle, at the prices of a batch where it is asked so."""
        if not self.batch:
            return oracle
        table = oracle.price_table
        cheaper = None if table is None else in_one_line(table.discounted(1 - self.discount))
        return replace(oracle, price=self.price(oracle.price), prices=cheaper)


def _is(kind: type | tuple[type, ...], value: object) -> bool:
    """True for a number of a kind; a truth value, which Python takes for one, is none."""
    return isinstance(value, kind) and not isinstance(value, bool)


ALONE = BatchConfig()
"""Every question is a request of its own."""

BATCHING = frozenset({"batch", "looks", "batch_discount", "batch_poll"})
"""Settings of this kind, all of which a resumed run may change."""
