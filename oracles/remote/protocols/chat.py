"""Common parts of language models that are shown a picture, and asked which label fits."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from oracles.errors import AnswerError
from oracles.oracle import REFUSAL, Feedback, OracleSpec
from oracles.remote.descriptor import Endpoint
from oracles.remote.image_encoding import Picture
from oracles.remote.json_text import kind, load_object
from oracles.remote.messages import Reply, Request
from oracles.remote.spoken import PROMPT, SpokenLabels, speakable
from oracles.remote.wire_protocol import Parsed
from oracles.usage import Usage

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatOptions:
    """Options that these protocols share.

    Attributes:
        model: its name.
        prompt: what stands beside the image; {labels} is replaced by the list of labels.
        temperature: of sampling; `none` leaves it to the server.
        max_tokens: most tokens of an answer; `none` leaves it to the server.
        picture: how images become pictures.
    """

    model: str
    prompt: str = PROMPT
    temperature: float | None = 0.0
    max_tokens: int | None = 32
    picture: Picture = field(default_factory=Picture)


@dataclass(frozen=True, slots=True)
class Said:
    """What a model says.

    Attributes:
        text: of it.
        cut: whether its tokens ended before it did.
        refused: whether it declined to answer.
        identity: whatever the reply tells of the model, by field.
    """

    text: str
    cut: bool = False
    refused: bool = False
    identity: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatProtocol:
    """One picture and a question in, one label out.

    Args:
        spec: of the oracle behind it.
        spoken: finds the label in what the model says.
        picture: how images become pictures.
        compose: from the file of a picture to the request.
        understand: from a reply to what the model says; raises as `WireProtocol.parse`.
        told: from a reply to the tokens that it tells of.
        unpack: from what it says to the label.
    """

    spec: OracleSpec
    spoken: SpokenLabels
    picture: Picture
    compose: Callable[[bytes], Request]
    understand: Callable[[Reply], Said]
    told: Callable[[Mapping[str, Any]], Usage | None]
    unpack: Callable[[str], str] = str

    @property
    def encoding(self) -> str:
        """Description of what happens to an image on its way."""
        return self.picture.description

    def request(self, images: Tensor) -> Request:
        """The question about one image."""
        (file,) = self.picture.files(images)
        return self.compose(file)

    def parse(self, reply: Reply, *, images: int) -> Parsed:
        """The label that the model names, and which model it was.

        Raises:
            AnswerError: it says nothing at all, or the reply has another form.
        """
        said = self.understand(reply)
        label = REFUSAL if said.refused else self.spoken.label(said.text, cut=said.cut, unpack=self.unpack)
        return Parsed(self.spoken.labels.from_names([label], self.spec), said.identity)

    def usage(self, reply: Reply) -> Usage | None:
        """The tokens that a reply tells of, None where it tells none or cannot be read."""
        return usage_in(reply, self.told)


def usage_in(reply: Reply, told: Callable[[Mapping[str, Any]], Usage | None]) -> Usage | None:
    """What `told` finds in the object that a reply holds, None where it holds none."""
    try:
        return told(load_object(reply.body))
    except AnswerError:
        return None


def chat_spec(
    endpoint: Endpoint, options: ChatOptions, details: Mapping[str, object] | None = None
) -> tuple[OracleSpec, SpokenLabels]:
    """The specification of the oracle, and what finds labels in its words.

    Args:
        endpoint: the service.
        options: the question.
        details: what else changes answers, by name.

    Raises:
        SpecError: the labels are missing, or two of them cannot be told apart.
    """
    labels = speakable(endpoint)
    spoken = SpokenLabels(labels=labels, name=endpoint.name)
    spec = endpoint.spec(
        labels,
        feedback=Feedback.LABELS,
        encoding=options.picture.identity,
        eight_bit=True,
        max_batch=1,
        details={
            "model": options.model,
            "prompt": spoken.asked(options.prompt),
            "temperature": options.temperature,
            "max_tokens": options.max_tokens,
            **(details or {}),
        },
    )
    return spec, spoken


def given(**values: Any) -> dict[str, Any]:
    """The values that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def label_schema(labels: list[str]) -> dict[str, Any]:
    """A JSON schema of an object whose only member is one of the labels."""
    return {
        "type": "object",
        "properties": {"label": {"type": "string", "enum": labels}},
        "required": ["label"],
        "additionalProperties": False,
    }


def label_in_json(text: str) -> str:
    """The label in an object of the schema; text that is none, such as a cut one, is taken as it is."""
    try:
        label = json.loads(text)["label"]
    except (ValueError, RecursionError, TypeError, KeyError):
        return text
    return label if isinstance(label, str) else kind(label)


def joined(parts: object, name: str = "text") -> str:
    """The texts of a reply's parts, one behind the other; parts without one are left out.

    Raises:
        AnswerError: another form.
    """
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise AnswerError(f"the reply should hold a list of parts with {name!r}, got {kind(parts)}")
    texts = [part.get(name) for part in parts if not part.get("thought")]
    return "".join(text for text in texts if isinstance(text, str))
