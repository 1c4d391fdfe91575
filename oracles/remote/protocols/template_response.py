"""Answers from a reply by JMESPath."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions

from oracles.errors import AnswerError, SpecError
from oracles.oracle import NONE_OF_THESE, Feedback
from oracles.remote.json_text import kind, numbers, per_image


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseOptions:
    """The table `[response]`; all but `logits` and `score_scale` are JMESPath expressions (https://jmespath.org).

    Attributes:
        answers: from the reply to a list with one element an image; needed where a request holds many.
        entries: from an image's element (else the whole reply) to a list with one element a label, in which `labels`
            and `scores` are then looked up. Prefer it to `labels = "[].name"`, which skips what has no name.
        labels: to a label, or to a list of labels, best first; to numbers of known labels alike.
        scores: to their probabilities; without `labels`, to the scores of all known labels in their order.
        logits: whether scores without labels are logits, rather than probabilities; if left out, the first reply tells.
        score_scale: scores with labels are multiplied by this, to lie between 0 and 1.
        identity: from the whole reply, by name, whatever tells which model answered.
    """

    answers: str | None = None
    entries: str | None = None
    labels: str | None = None
    scores: str | None = None
    logits: bool | None = None
    score_scale: float = 1.0
    identity: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Compile everything once, to find what is wrong."""
        named = {"answers": self.answers, "entries": self.entries, "labels": self.labels, "scores": self.scores}
        for name, path in (named | {f"identity.{name}": path for name, path in self.identity.items()}).items():
            _compiled(path, name)
        if self.labels is None and self.scores is None:
            raise SpecError("say where in the reply the answer is: labels, scores or both")
        if self.entries is not None and self.labels is None:
            raise SpecError("entries needs labels: where in an entry the label is")

    @property
    def feedback(self) -> Feedback:
        """Kind of feedback that the answers hold."""
        if self.scores is None:
            return Feedback.LABELS
        if self.labels is not None:
            return Feedback.TOP_K
        return Feedback.LOGITS if self.logits else Feedback.PROBABILITIES

    @property
    def fingerprint(self) -> str:
        """All that answers depend on; the unit of scores, where it is left out, does not name another class."""
        return repr(replace(self, logits=bool(self.logits)))

    def rows(self, tree: Any, images: int) -> list[Any]:
        """One row an image, as `answers_from_rows` takes them, lists of labels with probabilities for `TOP_K`.

        Raises:
            AnswerError: the expressions do not lead there.
        """
        found = [tree] if self.answers is None else _search(self.answers, tree)
        return [self._row(element) for element in per_image(found, images, "answers")]

    def identify(self, tree: Any) -> dict[str, str]:
        """Statements of the reply about the model, without what it leaves out."""
        found = {name: _search(path, tree) for name, path in self.identity.items()}
        return {name: str(value) for name, value in found.items() if isinstance(value, str | int | float)}

    def _row(self, element: Any) -> Any:
        labels = self._look_up(self.labels, element)
        scores = self._look_up(self.scores, element) or []
        if self.labels is None:
            return scores
        if labels is None:
            raise AnswerError(f"{self.labels} leads to nothing in the reply; an empty answer is not a class")
        if self.scores is None:
            return labels[0] if labels else NONE_OF_THESE
        if len(labels) != len(scores):
            raise AnswerError(f"the reply holds {len(labels)} labels and {len(scores)} scores for an image")
        return [(label, score * self.score_scale) for label, score in zip(labels, numbers(scores), strict=True)]

    def _look_up(self, path: str | None, element: Any) -> list[Any] | None:
        """Values that an expression finds in an element, or in each of its entries; None where it leads nowhere."""
        if path is None:
            return None
        if self.entries is None:
            found = _search(path, element)
            return found if isinstance(found, list) or found is None else [found]
        entries = _search(self.entries, element)
        if not isinstance(entries, list):
            raise AnswerError(f"{self.entries} should lead to a list of entries, got {kind(entries)}")
        return [_search(path, entry) for entry in entries]


def _compiled(path: str | None, name: str) -> None:
    try:
        tree: Any = {} if path is None else jmespath.compile(path).parsed
    except JMESPathError as error:
        raise SpecError(f"{name} is not JMESPath: {' '.join(str(error).split())}") from None
    unknown = sorted(set(_functions(tree)) - Functions.FUNCTION_TABLE.keys())  # else found out by the first reply
    if unknown:
        raise SpecError(f"{name} is not JMESPath: there is no function {unknown[0]}()")


def _functions(tree: Any) -> Iterator[str]:
    """The functions that a parsed expression calls; the ends of a slice are numbers, or nothing."""
    if not isinstance(tree, dict):
        return
    if tree.get("type") == "function_expression":
        yield tree["value"]
    for child in tree.get("children", ()):
        yield from _functions(child)


def _search(path: str, tree: Any) -> Any:
    try:
        return jmespath.search(path, tree)
    except (JMESPathError, ArithmeticError, ValueError, TypeError, RecursionError) as error:
        raise AnswerError(f"{path} makes nothing of the reply: {' '.join(str(error).split())}") from None
