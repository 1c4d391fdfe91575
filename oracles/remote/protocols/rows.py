"""Answers as rows of JSON, one an image: scores, a label, or an object from labels to scores."""

from __future__ import annotations

from itertools import chain
from typing import Any

from oracles.errors import AnswerError, SpecError
from oracles.oracle import Answers, Feedback, OracleSpec
from oracles.remote.descriptor import Endpoint
from oracles.remote.json_text import kind, numbers
from oracles.remote.labels import Labels
from oracles.remote.score_unit import ScoreUnit


def labels_for(endpoint: Endpoint, feedback: Feedback) -> Labels:
    """The labels of a server that does not say how many it has.

    Raises:
        SpecError: it answers with scores, and the user does not say either.
    """
    labels = endpoint.labels()
    if feedback in (Feedback.PROBABILITIES, Feedback.LOGITS) and not labels.given:
        raise SpecError(
            f"say num_classes, labels or labels_file: {endpoint.name} does not tell what its scores stand for"
        )
    return labels


def answers_from_rows(rows: list[Any], labels: Labels, spec: OracleSpec, unit: ScoreUnit) -> Answers:
    """Answers from one row an image, of the form that the feedback asks for.

    Args:
        rows: lists of numbers; or labels or their numbers; or objects from labels to probabilities.
        labels: of the server.
        spec: of the oracle.
        unit: of scores, learned from them where nobody names it.

    Raises:
        AnswerError: a row is of another form.
    """
    import torch

    if spec.feedback is Feedback.LABELS:
        return _from_labels(rows, labels, spec)
    if spec.feedback is Feedback.TOP_K:
        return labels.from_ranked([list(_checked(row, dict, "top-k").items()) for row in rows], spec)
    lists = [_checked(row, list, spec.feedback) for row in rows]
    wrong = next((row for row in lists if len(row) != len(labels.given)), None)
    if wrong is not None:
        raise AnswerError(f"{spec.name} should answer with {len(labels.given)} scores an image, got {len(wrong)}")
    scores = torch.tensor(numbers(list(chain.from_iterable(lists))), dtype=torch.float64)
    scores = scores.view(len(rows), len(labels.given))
    return labels.from_scores(scores, unit.of(scores.numpy(), spec), images=len(rows))


def without_ones(row: Any, feedback: Feedback) -> Any:
    """A row without axes of length 1: [[0.1, 0.9]] and [[0.1], [0.9]] are scores, [3] and ["dog"] a label."""
    if feedback is Feedback.LABELS:
        while isinstance(row, list) and len(row) == 1:
            (row,) = row
        return row
    while isinstance(row, list) and len(row) == 1 and isinstance(row[0], list):
        (row,) = row
    while isinstance(row, list) and row and all(isinstance(one, list) and len(one) == 1 for one in row):
        row = [one[0] for one in row]
    return row


def is_row(found: object, feedback: Feedback) -> bool:
    """True if a value has the form of one image's answer, rather than of a list of them."""
    if feedback is Feedback.LABELS:
        return isinstance(found, str | int)
    if feedback is Feedback.TOP_K:
        return isinstance(found, dict)
    return isinstance(found, list) and not any(isinstance(value, list) for value in found)


def _from_labels(rows: list[Any], labels: Labels, spec: OracleSpec) -> Answers:
    if all(type(row) is int for row in rows):
        return labels.from_numbers(rows, spec)
    return labels.from_names(rows, spec)


def _checked(row: Any, wanted: type, feedback: str) -> Any:
    if not isinstance(row, wanted):
        raise AnswerError(f"feedback={feedback} needs {_FORMS[wanted]} for each image, got {kind(row)}")
    return row


_FORMS: dict[type, str] = {list: "a list of scores", dict: "an object from labels to scores"}
