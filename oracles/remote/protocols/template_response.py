"""Answers from a reply by JMESPath."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from oracles.errors import AnswerError, SpecError
from oracles.oracle import NONE_OF_THESE, REFUSAL, Feedback
from oracles.remote.json_text import kind, numbers, per_image
from oracles.remote.protocols.expressions import check_expression, search
from oracles.remote.protocols.reply_formats import ReplyFormat, number, read_reply, unpacked
from oracles.remote.spoken import SpokenLabels
from oracles.usage import Cache, Usage

_WORDS = (ReplyFormat.TEXT, ReplyFormat.CSV)
"""Formats whose numbers are written as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseOptions:
    """The table `[response]`; what leads somewhere is a JMESPath expression (https://jmespath.org).

    Attributes:
        format: what a reply is: JSON; plain `text`; `csv`, a list of rows, each a list of texts; or `events`, a stream
            of server-sent events, of which the last one with data counts, as JSON.
        unpack: to a text that is JSON itself, in which all but `identity` is then looked up.
        answers: from the reply to a list with one element an image; needed where a request holds many.
        entries: from an image's element (else the whole reply) to a list with one element a label, in which `labels`
            and `scores` are then looked up. Prefer it to `labels = "[].name"`, which skips what has no name.
        labels: to a label, or to a list of labels, best first; to numbers of known labels alike.
        scores: to their probabilities; without `labels`, to the scores of all known labels in their order.
        separator: splits a text to which `labels` or `scores` lead into a list, `,` for instance.
        free_text: whether `labels` lead to what a language model says: case, quotes and a full stop around a label do
            not matter, and anything that is none of the listed labels is a vote for no class.
        refusal: to something if the model refuses to answer, which is then a vote for no class.
        logits: whether scores without labels are logits, rather than probabilities; if left out, the first reply tells.
        score_scale: scores with labels are multiplied by this, to lie between 0 and 1.
        identity: from the whole reply, by name, whatever tells which model answered.
        input_tokens: from the whole reply to the number of tokens that the model read, which `prices` bill.
        output_tokens: from the whole reply to the number of tokens that it wrote; left out where none are.
        cached_tokens: from the whole reply to how many of `input_tokens` came from a cache; left out where none do.
    """

    format: ReplyFormat = ReplyFormat.JSON
    unpack: str | None = None
    answers: str | None = None
    entries: str | None = None
    labels: str | None = None
    scores: str | None = None
    separator: str | None = None
    free_text: bool = False
    refusal: str | None = None
    logits: bool | None = None
    score_scale: float = 1.0
    identity: Mapping[str, str] = field(default_factory=dict)
    input_tokens: str | None = None
    output_tokens: str | None = None
    cached_tokens: str | None = None

    def __post_init__(self) -> None:
        """Compile everything once, to find what is wrong."""
        named = {name: getattr(self, name) for name in _EXPRESSIONS}
        for name, path in (named | {f"identity.{name}": path for name, path in self.identity.items()}).items():
            if path is not None:
                check_expression(path, name)
        if self.labels is None and self.scores is None:
            raise SpecError("say where in the reply the answer is: labels, scores or both")
        if self.entries is not None and self.labels is None:
            raise SpecError("entries needs labels: where in an entry the label is")
        if self.free_text and (self.labels is None or self.scores is not None):
            raise SpecError("free_text needs labels, and no scores: where in the reply the model's words are")
        if self.refusal is not None and not self.free_text:
            raise SpecError("refusal goes with free_text=true")
        for name in ("output_tokens", "cached_tokens"):
            if getattr(self, name) is not None and self.input_tokens is None:
                raise SpecError(f"{name} needs input_tokens: where in the reply the number of tokens read is")

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
        plain = ResponseOptions(labels="@")
        added = {name: getattr(self, name) for name in _NEWER if getattr(self, name) != getattr(plain, name)}
        known = replace(self, logits=bool(self.logits), **{name: getattr(plain, name) for name in _NEWER})
        shown = ", ".join(f"{name}={getattr(known, name)!r}" for name in _FIRST)
        return f"ResponseOptions({shown})" + (f" {added!r}" if added else "")

    def tree(self, body: bytes) -> Any:
        """Contents of a reply.

        Raises:
            AnswerError: it has another format.
        """
        return read_reply(body, self.format)

    def rows(self, tree: Any, images: int, spoken: SpokenLabels | None = None) -> list[Any]:
        """One row an image, as `answers_from_rows` takes them, lists of labels with probabilities for `TOP_K`.

        Args:
            tree: contents of the reply.
            images: that were asked about.
            spoken: finds labels in words, None where they are labels.

        Raises:
            AnswerError: the expressions do not lead there.
        """
        if self.unpack is not None:
            tree = unpacked(search(self.unpack, tree), self.unpack)
        found = [tree] if self.answers is None else search(self.answers, tree)
        return [self._row(element, spoken) for element in per_image(found, images, "answers")]

    def identify(self, tree: Any) -> dict[str, str]:
        """Statements of the reply about the model, without what it leaves out."""
        found = {name: search(path, tree) for name, path in self.identity.items()}
        return {name: str(value) for name, value in found.items() if isinstance(value, str | int | float)}

    def usage(self, body: bytes) -> Usage | None:
        """Tokens that a reply tells of, None where it tells none or cannot be read."""
        if self.input_tokens is None:
            return None
        try:
            tree = self.tree(body)
            written = 0 if self.output_tokens is None else search(self.output_tokens, tree)
            cached = None if self.cached_tokens is None else search(self.cached_tokens, tree)
            told = {"read": search(self.input_tokens, tree), "written": written, "cached": cached}
            return Usage.told(told, "read", "written", cache=Cache(("cached",)))
        except AnswerError:
            return None

    def _row(self, element: Any, spoken: SpokenLabels | None) -> Any:
        if self.refusal is not None and search(self.refusal, element):
            return REFUSAL
        labels = self._look_up(self.labels, element)
        scores = self._look_up(self.scores, element) or []
        if self.format in _WORDS or self.separator is not None:
            scores = [number(score) for score in scores]
        if self.labels is None:
            return scores
        if labels is None:
            raise AnswerError(f"{self.labels} leads to nothing in the reply; an empty answer is not a class")
        if self.scores is None:
            return self._best(labels, spoken)
        if len(labels) != len(scores):
            raise AnswerError(f"the reply holds {len(labels)} labels and {len(scores)} scores for an image")
        return [(label, score * self.score_scale) for label, score in zip(labels, numbers(scores), strict=True)]

    def _best(self, labels: list[Any], spoken: SpokenLabels | None) -> Any:
        """The first label."""
        if not labels:
            return NONE_OF_THESE
        if spoken is None:
            return labels[0]
        if not isinstance(labels[0], str):
            raise AnswerError(f"{self.labels} should lead to text, got {kind(labels[0])}")
        return spoken.label(labels[0])

    def _look_up(self, path: str | None, element: Any) -> list[Any] | None:
        """Values that an expression finds in an element, or in each of its entries; None where it leads nowhere."""
        if path is None:
            return None
        if self.entries is None:
            found = search(path, element)
            if self.separator is not None and isinstance(found, str):
                return [piece.strip() for piece in found.split(self.separator) if piece.strip()]
            return found if isinstance(found, list) or found is None else [found]
        entries = search(self.entries, element)
        if not isinstance(entries, list):
            raise AnswerError(f"{self.entries} should lead to a list of entries, got {kind(entries)}")
        return [search(path, entry) for entry in entries]


_TOKENS = ("input_tokens", "output_tokens", "cached_tokens")
_EXPRESSIONS = ("unpack", "answers", "entries", "labels", "scores", "refusal", *_TOKENS)
_FIRST = ("answers", "entries", "labels", "scores", "logits", "score_scale", "identity")
_NEWER = ("format", "unpack", "separator", "free_text", "refusal")
"""Fields that stand in a fingerprint only where they are used: it is older than they are. Tokens change no answer."""
