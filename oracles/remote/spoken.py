"""The label in what a language model says about an image, and classes for what is no label.

What a model says besides the labels of a fixed list is a class, too: a refusal, or anything that is none of the list.
So a model that declines under noise loses votes rather than escaping the count.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from oracles.errors import AnswerError, SpecError
from oracles.oracle import NONE_OF_THESE, REFUSAL
from oracles.remote.descriptor import Endpoint
from oracles.remote.labels import Labels, plain

LABELS = "{labels}"
"""Stands in a prompt for the list of labels."""

PROMPT = "Which of these labels fits the image best? Answer with exactly one of them, nothing else: {labels}"
"""The usual question."""

_THOUGHTS = re.compile(r"\A\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL)
"""What some models think before they answer, where the server leaves it in the answer."""

_FEW_WORDS = 8
"""More of them are prose rather than a label."""

_log = logging.getLogger("bbsmooth.oracles")


class _Notes:
    """Notes of which each is told once."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            _log.warning("%s", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenLabels:
    """Finds the label in what a model says.

    Args:
        labels: those of the user, `REFUSAL` and `NONE_OF_THESE`.
        name: of the oracle.
        more_tokens: what to do where an answer is cut off.
        stricter: what to do where a model says more than a label.
    """

    labels: Labels
    name: str
    more_tokens: str = "raise max_tokens"
    stricter: str = "ask more strictly with prompt=..."
    _notes: _Notes = field(default_factory=lambda: _Notes(), compare=False)

    @property
    def listed(self) -> list[str]:
        """The labels that the model may name."""
        return [label for label in self.labels.given if label not in (REFUSAL, NONE_OF_THESE)]

    def asked(self, prompt: str) -> str:
        """The question, with the labels filled in."""
        return prompt.replace(LABELS, ", ".join(self.listed))

    def label(self, text: str, *, cut: bool = False, unpack: Callable[[str], str] = str) -> str:
        """The label that a text names, else `NONE_OF_THESE`.

        Args:
            text: as the model says it; what stands between <think> tags before the answer is left out.
            cut: whether its tokens ended before it did.
            unpack: from the answer to the label in it.

        Raises:
            AnswerError: it says nothing at all.
        """
        answer = _THOUGHTS.sub("", text, count=1)
        if not answer.strip():
            why = f": its tokens ended before an answer; {self.more_tokens}" if cut else ""
            raise AnswerError(f"{self.name} said nothing{why}; an empty answer is not a class")
        said = plain(unpack(answer))
        label = next((label for label in self.listed if plain(label) == said), None)
        if label is None:
            self._notes.tell(f"{self.name}: {self._strayed(answer, cut=cut)}; that is a vote for {NONE_OF_THESE}")
        return label or NONE_OF_THESE

    def _strayed(self, answer: str, *, cut: bool) -> str:
        """Why an answer is none of the labels, without its words, which may repeat anything; with what to do."""
        if answer.lstrip().startswith(("<think>", "<thinking>")):
            return f"the model thinks aloud and does not come to an answer; {self.more_tokens}"
        if cut:
            return f"an answer is cut off where its tokens end; {self.more_tokens}"
        if len(answer.split()) > _FEW_WORDS:
            return f"the model says more than a label; {self.stricter}"
        return "the model names none of the labels"


def speakable(endpoint: Endpoint) -> Labels:
    """The user's labels with `REFUSAL` and `NONE_OF_THESE`.

    Raises:
        SpecError: the labels are missing, or two of them cannot be told apart.
    """
    known = endpoint.labels()
    if not known.given:
        raise SpecError("say which labels the model may answer with: labels=cat,dog or labels_file=PATH")
    if len({plain(label) for label in known.given}) != len(known.given) or "" in map(plain, known.given):
        raise SpecError("labels should differ in more than case, quotes and full stops")
    return Labels((*known.given, REFUSAL, NONE_OF_THESE), known.synonyms)
