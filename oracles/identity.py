"""Identity of a model: what it says of itself, held against what it said when the run began."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oracles.errors import OracleChanged
from oracles.oracle import Answers, Oracle, OracleSpec
from oracles.store import ResponseStore

if TYPE_CHECKING:
    from torch import Tensor

_IDENTITY = b"identity"


@dataclass(frozen=True, slots=True)
class IdentifiedOracle:
    """Refuses answers of a model whose name, version or digest is not the one that the store knows.

    The first value of each field is kept in the store, so that a resumed run compares with the first process's.

    Args:
        oracle: asked.
        store: keeps the identity.
    """

    oracle: Oracle
    store: ResponseStore

    @property
    def spec(self) -> OracleSpec:
        """As inside."""
        return self.oracle.spec

    def query(self, images: Tensor) -> Answers:
        """Answer a batch.

        Raises:
            OracleChanged: the model that answered is not the one that the run began with.
        """
        answers = self.oracle.query(images)
        if self.spec.identity:
            self._compare(dict(self.spec.identity))
        return answers

    def _compare(self, now: dict[str, str]) -> None:
        known = self._known()
        for field in now.keys() & known.keys():
            if now[field] != known[field]:
                raise OracleChanged(
                    f"the model behind {self.spec.name} was changed: its {field} was {known[field]!r} when the run "
                    f"began and is {now[field]!r} now"
                )
        if now.keys() - known.keys():
            with self.store.transaction():
                self.store.write({_IDENTITY: json.dumps(now | self._known()).encode()})

    def _known(self) -> dict[str, str]:
        (raw,) = self.store.read([_IDENTITY])
        return {} if raw is None else dict(json.loads(raw))
