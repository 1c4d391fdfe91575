"""An oracle behind a map of its scores, which asks about no noisy image twice whatever the map."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from bbsmooth.coordinator import CoordinatedOracle, ScoreScaled
from bbsmooth.coordinator.score_scaling import read
from oracles import Answers, CachingOracle, Oracle, OracleSpec, ResponseStore


@dataclass(frozen=True, slots=True)
class Reread:
    """What `CoordinatedOracle` is, of a map of scores; the same bits, as only how answers are read depends on the map.

    Args:
        scaled: the map and what stands before the oracle.
        parameters: of the map.
        oracle: asked about what is shown.
        folder: of the scores that it answered.
    """

    scaled: ScoreScaled
    parameters: Tensor
    oracle: Oracle
    folder: Path
    spec: OracleSpec = field(init=False)
    inner: CachingOracle = field(init=False)

    def __post_init__(self) -> None:
        """Open the store."""
        front = CoordinatedOracle(self.scaled.front, self.scaled.shown_with, self.oracle)
        object.__setattr__(self, "spec", CoordinatedOracle(self.scaled, self.parameters, self.oracle).spec)
        object.__setattr__(self, "inner", CachingOracle(front, ResponseStore(self.folder)))

    def query(self, images: Tensor) -> Answers:
        """Answers to `images` (B, C, H, W), as the map reads them."""
        return read(self.scaled, self.inner.query(images), self.oracle.spec.feedback, self.parameters)[0]
