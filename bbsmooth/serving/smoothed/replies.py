"""From what is proven about images to the tensors of a reply."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bbsmooth.certification import Certificate, Outcome
from bbsmooth.serving.replies import OutputTensor, float64, int64
from bbsmooth.serving.smoothed.model import NO_CLASS, NO_RADIUS, SmoothedModel


@dataclass(frozen=True, slots=True)
class Result:
    """Result for one image.

    Attributes:
        outcome: what is proven.
        queries: that were charged.
    """

    outcome: Outcome
    queries: int

    @property
    def certificate(self) -> Certificate | None:
        """None for an abstention."""
        verdict = self.outcome.verdict
        return verdict if isinstance(verdict, Certificate) else None

    @property
    def reason(self) -> str:
        """Of an abstention, else empty."""
        verdict = self.outcome.verdict
        return "" if isinstance(verdict, Certificate) else verdict.reason.value


def tensors(results: Sequence[Result], model: SmoothedModel) -> list[OutputTensor]:
    """The output tensors, a row for each result."""
    classes = model.spec.classes
    found = [result.certificate for result in results]
    evidence = [result.outcome.verdict.evidence for result in results]
    numbers = OutputTensor.numbers
    outputs = [OutputTensor.texts("label", ["" if each is None else classes.name(each.label) for each in found])]
    if not classes.open_set:
        outputs.append(numbers("class", "INT64", int64([NO_CLASS if each is None else each.label for each in found])))
    outputs += [
        numbers("abstained", "BOOL", np.array([each is None for each in found], dtype=bool)),
        OutputTensor.texts("reason", [result.reason for result in results]),
        numbers("radius", "FP64", float64([NO_RADIUS if each is None else each.radius for each in found])),
        numbers("alpha", "FP64", float64([each.alpha for each in evidence])),
        numbers("p_lower", "FP64", float64([each.p_lower for each in evidence])),
        numbers("queries", "INT64", int64([result.queries for result in results])),
        _votes(results, model),
    ]
    if model.radii:
        outputs.append(_decisions(results, model))
    return outputs


def _votes(results: Sequence[Result], model: SmoothedModel) -> OutputTensor:
    classes, counts = model.spec.classes, [result.outcome.verdict.evidence.counts for result in results]
    if classes.open_set:
        named = [{classes.name(number): votes for number, votes in each.items()} for each in counts]
        return OutputTensor.texts("votes", [json.dumps(each) for each in named])
    rows = np.zeros((len(results), len(classes)), dtype="<i8")
    for row, each in zip(rows, counts, strict=True):
        row[list(each)] = list(each.values())
    return OutputTensor.numbers("votes", "INT64", rows)


def _decisions(results: Sequence[Result], model: SmoothedModel) -> OutputTensor:
    """Undecided where the certification ended before the question."""
    states = [
        state
        for result in results
        for state in ([each.state.value for each in result.outcome.decisions] or ["undecided"] * len(model.radii))
    ]
    return OutputTensor.texts("decisions", states, (len(results), len(model.radii)))
