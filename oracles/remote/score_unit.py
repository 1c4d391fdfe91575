"""The unit of scores, probabilities or logits, of a server that does not name it: read off its first replies."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from oracles.errors import AnswerError
from oracles.oracle import Answers, Feedback, Oracle, OracleSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

UNIT = "unit of scores"
"""Stands for it in the identity of a model, so that a run keeps it and notices where it changes."""

_ROUNDING = 1e-3
_SUM_ROUNDING = 1e-2


def taken_for(spec: OracleSpec, unit: ScoreUnit, output: str | None) -> OracleSpec:
    """The specification with the unit that the name of an output tells, where nobody names the unit.

    Its fingerprint stays: the name of the output is part of it already.
    """
    tells = named_by(output)
    if unit.named is not None or tells is None or spec.feedback is not Feedback.PROBABILITIES:
        return spec
    return replace(spec, feedback=tells)


class ScoreUnit:
    """The unit of one server's scores. Names the winning class either way, so nobody needs to know it for votes.

    Scores outside [0, 1] are logits. Scores within that add up to 1 for each image are probabilities. Others within
    are taken for probabilities, as of independent classes, until a reply says otherwise.

    Args:
        named: by the user or the server; None where neither does.
    """

    def __init__(self, named: Feedback | None) -> None:
        """Nothing was answered yet."""
        self.named = named
        self._found: Feedback | None = None

    @property
    def identity(self) -> dict[str, str]:
        """The unit as far as it was inferred, for `Parsed.identity`."""
        return {} if self._found is None else {UNIT: self._found.value}

    def of(self, scores: NDArray[Any], spec: OracleSpec) -> OracleSpec:
        """The specification with the unit of scores (B, K), inferred from them where nobody names it."""
        if self.named is not None or not scores.size:
            return spec
        found = _unit(scores)
        if self._found is not Feedback.LOGITS and found is not None:
            self._found = found
        unit = self._found or spec.feedback
        return spec if unit is spec.feedback else replace(spec, feedback=unit)


def named_by(output: str | None) -> Feedback | None:
    """The unit that the name of an output tells, None where it tells none."""
    name = (output or "").casefold()
    if "logit" in name:
        return Feedback.LOGITS
    return Feedback.PROBABILITIES if "prob" in name or "softmax" in name else None


def _unit(values: NDArray[Any]) -> Feedback | None:
    if values.min() < -_ROUNDING or values.max() > 1 + _ROUNDING:
        return Feedback.LOGITS
    return Feedback.PROBABILITIES if abs(values.sum(1) - 1).max() < _SUM_ROUNDING else None


@dataclass(frozen=True, slots=True)
class SteadyUnitOracle:
    """Refuses answers whose unit of scores turns out to be another one than it was taken for. For uses of scores."""

    oracle: Oracle
    _begun: Feedback = field(init=False)

    def __post_init__(self) -> None:
        """Keep the unit as it is taken for now."""
        object.__setattr__(self, "_begun", self.oracle.spec.feedback)

    @property
    def spec(self) -> OracleSpec:
        """As inside."""
        return self.oracle.spec

    def query(self, images: Tensor) -> Answers:
        """Answer a batch. Raises `AnswerError` where the unit is another one."""
        answers = self.oracle.query(images)
        if self.spec.feedback is not self._begun and answers.scores is not None:
            raise AnswerError(
                f"the scores of {self.spec.name} are {self.spec.feedback}, not {self._begun}; "
                f"say feedback={self.spec.feedback}, in the oracle's name or file"
            )
        return answers
