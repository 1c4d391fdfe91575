"""OpenAI-compatible chat completions with an image: a vision-language model as a classifier that names one label.

Source: OpenAI's API reference, chat
completions and structured outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from oracles.errors import SpecError
from oracles.oracle import REFUSAL, Feedback, OracleSpec
from oracles.remote.batches.endpoint import BatchEndpoint
from oracles.remote.batches.mistral import MistralBatches
from oracles.remote.batches.openai import OpenaiBatches
from oracles.remote.descriptor import Endpoint, Key, ProtocolDescriptor
from oracles.remote.image_encoding import Picture
from oracles.remote.json_text import dump, load_object, member, optional_text, per_image
from oracles.remote.messages import Reply, Request
from oracles.remote.protocols.chat import label_in_json, label_schema, usage_in
from oracles.remote.small_images import OPENAI
from oracles.remote.spoken import PROMPT, SpokenLabels, speakable
from oracles.remote.wire_protocol import Parsed, Send
from oracles.usage import Cache, Usage

if TYPE_CHECKING:
    from torch import Tensor

_OPENAI, _MISTRAL = "openai", "mistral"
_MORE_TOKENS = "raise max_tokens, or max_completion_tokens for newer models"
_STRICTER = "ask more strictly with prompt=..., or say structured=true"


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
        batches: whose batch interface `batch` uses: `openai`, also of compatible services, or `mistral`; taken from
            the address if left out.
        watch_backend: whether a new `system_fingerprint` counts as a change of the model.
        picture: how images become pictures.
    """

    model: str
    prompt: str = PROMPT
    structured: bool = False
    temperature: float | None = 0.0
    seed: int | None = 0
    max_tokens: int | None = 32
    max_completion_tokens: int | None = None
    detail: str | None = None
    batches: str | None = None
    watch_backend: bool = True
    picture: Picture = field(default_factory=Picture)

    def __post_init__(self) -> None:
        """Refuse what is no batch interface."""
        if self.batches not in (None, _OPENAI, _MISTRAL):
            raise SpecError(f"batches should be {_OPENAI} or {_MISTRAL}, got {self.batches!r}")


@dataclass(frozen=True, slots=True)
class OpenaiProtocol:
    """One image and a question in, one label out.

    Args:
        spec: of the oracle behind it.
        url: of the chat completions.
        spoken: finds the label in what the model says.
        options: the question.
    """

    spec: OracleSpec
    url: str
    spoken: SpokenLabels
    options: OpenaiOptions

    @property
    def encoding(self) -> str:
        """Description of what happens to an image on its way."""
        return self.options.picture.description

    def request(self, images: Tensor) -> Request:
        """The question about one image."""
        (file,) = self.options.picture.files(images)
        image = _given({"url": self.options.picture.data_url(file), "detail": self.options.detail})
        content = [
            {"type": "text", "text": self.spoken.asked(self.options.prompt)},
            {"type": "image_url", "image_url": image},
        ]
        tree = _settings(self.options, self.spoken) | {"messages": [{"role": "user", "content": content}]}
        return Request("POST", self.url, {"Content-Type": "application/json"}, dump(tree))

    def parse(self, reply: Reply, *, images: int) -> Parsed:
        """The label that the model names, and which model it was.

        Raises:
            AnswerError: it says nothing at all, or the reply has another form.
        """
        tree = load_object(reply.body)
        (choice,) = per_image(tree.get("choices"), images, "choices")
        names = {"model": "model"} | ({"system_fingerprint": "backend"} if self.options.watch_backend else {})
        answers = self.spoken.labels.from_names([self._label(choice)], self.spec)
        return Parsed(answers, optional_text(tree, names))

    def usage(self, reply: Reply) -> Usage | None:
        """The tokens that a reply tells of, None where it tells none or cannot be read."""
        return usage_in(reply, _told)

    def _label(self, choice: Any) -> str:
        message = member(choice, "message", dict)
        if message.get("refusal") or choice.get("finish_reason") == "content_filter":
            return REFUSAL
        cut = choice.get("finish_reason") == "length"
        text = "" if cut and message.get("content") is None else member(message, "content", str)
        return self.spoken.label(text, cut=cut, unpack=label_in_json if self.options.structured else str)


def connect(endpoint: Endpoint, options: OpenaiOptions, send: Send) -> OpenaiProtocol:
    """The protocol for a model; nothing is asked.

    Raises:
        SpecError: the labels are missing, or two of them cannot be told apart.
    """
    labels = speakable(endpoint)
    spoken = SpokenLabels(labels=labels, name=endpoint.name, more_tokens=_MORE_TOKENS, stricter=_STRICTER)
    spec = endpoint.spec(
        labels,
        feedback=Feedback.LABELS,
        encoding=options.picture.identity,
        eight_bit=True,
        max_batch=1,
        details={
            **_settings(options, spoken),
            "prompt": spoken.asked(options.prompt),
            "detail": options.detail,
        },
    )
    return OpenaiProtocol(spec, f"{endpoint.url}/chat/completions", spoken, options)


def _batches(endpoint: Endpoint, options: OpenaiOptions, send: Send) -> BatchEndpoint:
    """The batch interface of the service behind the address."""
    host = urlsplit(endpoint.url).hostname or ""
    if (options.batches or (_MISTRAL if host.endswith("mistral.ai") else _OPENAI)) == _MISTRAL:
        return MistralBatches(endpoint.url, options.model, send)
    return OpenaiBatches(endpoint.url, send)


_CACHE = Cache(("prompt_tokens_details", "cached_tokens"), ("prompt_tokens_details", "cache_write_tokens"))


def _told(tree: Mapping[str, Any]) -> Usage | None:
    return Usage.told(tree.get("usage"), "prompt_tokens", "completion_tokens", cache=_CACHE)


def _settings(options: OpenaiOptions, spoken: SpokenLabels) -> dict[str, Any]:
    """All of a request but its messages."""
    return _given(
        {
            "model": options.model,
            "temperature": options.temperature,
            "seed": options.seed,
            "max_tokens": options.max_tokens if options.max_completion_tokens is None else None,
            "max_completion_tokens": options.max_completion_tokens,
            "response_format": _schema(spoken.listed) if options.structured else None,
            "stream": False,
        }
    )


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _schema(labels: list[str]) -> dict[str, Any]:
    """The form of an answer that names one of the labels."""
    return {"type": "json_schema", "json_schema": {"name": "label", "strict": True, "schema": label_schema(labels)}}


DESCRIPTOR = ProtocolDescriptor(
    name="openai",
    usage="openai+https://HOST/v1?model=MODEL&labels=A,B,...",
    summary="a vision-language model behind OpenAI-compatible chat completions names a label (key: OPENAI_API_KEY)",
    options=OpenaiOptions,
    connect=connect,
    small=lambda endpoint: OPENAI if (urlsplit(endpoint.url).hostname or "").endswith("openai.com") else None,
    key=Key("OPENAI_API_KEY", "Authorization", "Bearer ", required=False),
    batches=_batches,
)
