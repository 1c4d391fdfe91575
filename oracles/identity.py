"""Identity of a model: what it says of itself, held against what it said when the run began."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
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
    _known: dict[str, str] = field(init=False, repr=False, compare=False, default_factory=dict)

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
        self.check()
        return answers

    def check(self) -> None:
        """Hold what the model has said of itself so far against what the store knows.

        Raises:
            OracleChanged: it is another one.
        """
        if (now := self.spec.identity) and now != self._known:
            self._compare(now)

    def _compare(self, now: Mapping[str, str]) -> None:
        """Hold what was said against what is known, and know what was not known before."""
        if now.keys() - self._known.keys():
            self._learn(now)
        for said in now.keys() & self._known.keys():
            if now[said] != self._known[said]:
                raise OracleChanged(
                    f"the model behind {self.spec.name} was changed: its {said} was {self._known[said]!r} when the run "
                    f"began and is {now[said]!r} now"
                )

    def _learn(self, now: Mapping[str, str]) -> None:
        """Keep what is new; the store may know more than this object, from an earlier process or another purpose."""
        with self.store.transaction():
            (raw,) = self.store.read([_IDENTITY])
            stored = {} if raw is None else dict(json.loads(raw))
            if now.keys() - stored.keys():
                self.store.write({_IDENTITY: json.dumps({**now, **stored}).encode()})
        self._known.update({**now, **stored})
