"""OpenAI-compatible chat completions with an image: a vision-language model as a classifier that names one label.

What it says besides the labels of a fixed list is a class, too: a refusal, or anything that is none of the list. So a
model that declines under noise loses votes rather than escaping the count. Source: OpenAI's API reference, chat
completions and structured outputs.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from oracles.errors import AnswerError, SpecError
from oracles.oracle import NONE_OF_THESE, REFUSAL, Feedback, OracleSpec
from oracles.remote.descriptor import Endpoint, Key, ProtocolDescriptor
from oracles.remote.image_encoding import Picture
from oracles.remote.json_text import dump, kind, load_object, member, optional_text, per_image
from oracles.remote.labels import Labels, plain
from oracles.remote.messages import Reply, Request
from oracles.remote.wire_protocol import Parsed, Send

if TYPE_CHECKING:
    from torch import Tensor

_LABELS = "{labels}"
_THOUGHTS = re.compile(r"\A\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL)
"""What some models think before they answer, where the server leaves it in the answer."""

_FEW_WORDS = 8
"""More of them are prose rather than a label."""

_MORE_TOKENS = "raise max_tokens, or max_completion_tokens for newer models"

_log = logging.getLogger("bbsmooth.oracles")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenaiOptions:
    """Options of the protocol.

    Attributes:
        model: its name.
        prompt: what stands before the image; {labels} is replaced by the list of labels.
        structured: whether the server is asked to hold the model to the list, by a JSON schema.
        temperature: of sampling; `none` leaves it to the server, as newer models want it.
        seed: of sampling; `none` leaves it to the server.
        max_tokens: most tokens of an answer; `none` leaves it to the server.
        max_completion_tokens: the same under the name that newer models want; it takes the place of `max_tokens`.
        detail: of the image, `low`, `high` or `auto`; None leaves it to the server.
        watch_backend: whether a new `system_fingerprint` counts as a change of the model.
        picture: how images become pictures.
    """

    model: str
    prompt: str = "Which of these labels fits the image best? Answer with exactly one of them, nothing else: {labels}"
    structured: bool = False
    temperature: float | None = 0.0
    seed: int | None = 0
    max_tokens: int | None = 32
    max_completion_tokens: int | None = None
    detail: str | None = None
    watch_backend: bool = True
    picture: Picture = field(default_factory=Picture)


@dataclass(frozen=True, slots=True)
class OpenaiProtocol:
    """One image and a question in, one label out.

    Args:
        spec: of the oracle behind it.
        url: of the chat completions.
        labels: those of the user, `REFUSAL` and `NONE_OF_THESE`.
        options: the question.
        notes: why an answer was none of the labels.
    """

    spec: OracleSpec
    url: str
    labels: Labels
    options: OpenaiOptions
    notes: _Notes = field(default_factory=lambda: _Notes(), compare=False)

    @property
    def encoding(self) -> str:
        """Description of what happens to an image on its way."""
        return self.options.picture.description

    def request(self, images: Tensor) -> Request:
        """The question about one image."""
        (file,) = self.options.picture.files(images)
        image = _given({"url": self.options.picture.data_url(file), "detail": self.options.detail})
        content = [
            {"type": "text", "text": _prompt(self.options, self.labels)},
            {"type": "image_url", "image_url": image},
        ]
        tree = _settings(self.options, self.labels) | {"messages": [{"role": "user", "content": content}]}
        return Request("POST", self.url, {"Content-Type": "application/json"}, dump(tree))

    def parse(self, reply: Reply, *, images: int) -> Parsed:
        """The label that the model names, and which model it was.

        Raises:
            AnswerError: it says nothing at all, or the reply has another form.
        """
        tree = load_object(reply.body)
        (choice,) = per_image(tree.get("choices"), images, "choices")
        names = {"model": "model"} | ({"system_fingerprint": "backend"} if self.options.watch_backend else {})
        return Parsed(self.labels.from_names([self._label(choice)], self.spec), optional_text(tree, names))

    def _label(self, choice: Any) -> str:
        message = member(choice, "message", dict)
        if message.get("refusal") or choice.get("finish_reason") == "content_filter":
            return REFUSAL
        cut = choice.get("finish_reason") == "length"
        text = "" if cut and message.get("content") is None else member(message, "content", str)
        answer = _THOUGHTS.sub("", text, count=1)
        if not answer.strip():
            why = f": its tokens ended before an answer; {_MORE_TOKENS}" if cut else ""
            raise AnswerError(f"{self.spec.name} said nothing{why}; an empty answer is not a class")
        said = plain(_unpacked(answer) if self.options.structured else answer)
        label = next((label for label in _listed(self.labels) if plain(label) == said), None)
        if label is None:
            self.notes.tell(f"{self.spec.name}: {_strayed(answer, cut=cut)}; that is a vote for {NONE_OF_THESE}")
        return label or NONE_OF_THESE


class _Notes:
    """Notes of which each is told once."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            _log.warning("%s", text)


def _strayed(answer: str, *, cut: bool) -> str:
    """Why an answer is none of the labels, without its words, which may repeat anything; with what to do."""
    if answer.lstrip().startswith(("<think>", "<thinking>")):
        return f"the model thinks aloud and does not come to an answer; {_MORE_TOKENS}"
    if cut:
        return f"an answer is cut off where its tokens end; {_MORE_TOKENS}"
    if len(answer.split()) > _FEW_WORDS:
        return "the model says more than a label; ask more strictly with prompt=..., or say structured=true"
    return "the model names none of the labels"


def connect(endpoint: Endpoint, options: OpenaiOptions, send: Send) -> OpenaiProtocol:
    """The protocol for a model; nothing is asked.

    Raises:
        SpecError: the labels are missing, or two of them cannot be told apart.
    """
    known = endpoint.labels()
    if not known.given:
        raise SpecError("say which labels the model may answer with: labels=cat,dog or labels_file=PATH")
    if len({plain(label) for label in known.given}) != len(known.given) or "" in map(plain, known.given):
        raise SpecError("labels should differ in more than case, quotes and full stops")
    labels = Labels((*known.given, REFUSAL, NONE_OF_THESE), known.synonyms)
    spec = endpoint.spec(
        labels,
        feedback=Feedback.LABELS,
        encoding=options.picture.identity,
        eight_bit=True,
        max_batch=1,
        details={
            **_settings(options, labels),
            "prompt": _prompt(options, labels),
            "detail": options.detail,
        },
    )
    return OpenaiProtocol(spec, f"{endpoint.url}/chat/completions", labels, options)


def _settings(options: OpenaiOptions, labels: Labels) -> dict[str, Any]:
    """All of a request but its messages."""
    return _given(
        {
            "model": options.model,
            "temperature": options.temperature,
            "seed": options.seed,
            "max_tokens": options.max_tokens if options.max_completion_tokens is None else None,
            "max_completion_tokens": options.max_completion_tokens,
            "response_format": _schema(_listed(labels)) if options.structured else None,
            "stream": False,
        }
    )


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _listed(labels: Labels) -> list[str]:
    """The labels that the model may name."""
    return [label for label in labels.given if label not in (REFUSAL, NONE_OF_THESE)]


def _prompt(options: OpenaiOptions, labels: Labels) -> str:
    return options.prompt.replace(_LABELS, ", ".join(_listed(labels)))


def _schema(labels: list[str]) -> dict[str, Any]:
    """An object whose only member is one of the labels."""
    schema = {
        "type": "object",
        "properties": {"label": {"type": "string", "enum": labels}},
        "required": ["label"],
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "label", "strict": True, "schema": schema}}


def _unpacked(text: str) -> str:
    """The label in an object of the schema; text that is none, such as a cut one, is taken as it is."""
    try:
        label = json.loads(text)["label"]
    except (ValueError, RecursionError, TypeError, KeyError):
        return text
    return label if isinstance(label, str) else kind(label)


DESCRIPTOR = ProtocolDescriptor(
    name="openai",
    usage="openai+https://HOST/v1?model=MODEL&labels=A,B,...",
    summary="a vision-language model behind OpenAI-compatible chat completions names a label (key: OPENAI_API_KEY)",
    options=OpenaiOptions,
    connect=connect,
    key=Key("OPENAI_API_KEY", "Authorization", "Bearer ", required=False),
)
