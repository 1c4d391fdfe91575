"""Every query is charged before it is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from oracles.errors import Unanswered
from oracles.ledger import Ledger, Purpose
from oracles.oracle import Answers, Oracle, OracleSpec

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class MeteredOracle:
    """An oracle whose queries are charged to a ledger, for one purpose.

    Whatever happens after the charge, it stands, unless the oracle says that it provably did not answer.

    Args:
        oracle: asked.
        ledger: charged.
        purpose: what for.
        attempts: requests to a server that one query of the oracle takes; these are never refunded.
    """

    oracle: Oracle
    ledger: Ledger
    purpose: Purpose
    attempts: int = 0

    @property
    def spec(self) -> OracleSpec:
        """As inside."""
        return self.oracle.spec

    def query(self, images: Tensor) -> Answers:
        """Charge, then ask. Raises `BudgetExhausted` and sends nothing if the images do not all fit."""
        self.spec.check(images)
        self.ledger.charge(len(images), purpose=self.purpose, attempts=self.attempts)
        try:
            return self.oracle.query(images)
        except Unanswered:
            self.ledger.refund(len(images), purpose=self.purpose)
            raise
