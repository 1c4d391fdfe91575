"""Anthropic's messages with an image: a vision-language model as a classifier that names one label.

Source: Anthropic's API reference, messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oracles.remote.batches.anthropic import AnthropicBatches
from oracles.remote.descriptor import Endpoint, Key, ProtocolDescriptor
from oracles.remote.image_encoding import base64_text
from oracles.remote.json_text import dump, load_object, member, optional_text
from oracles.remote.messages import Reply, Request
from oracles.remote.protocols.chat import ChatOptions, ChatProtocol, Said, chat_spec, given, joined
from oracles.remote.small_images import ANTHROPIC
from oracles.remote.wire_protocol import Send
from oracles.usage import Cache, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class AnthropicOptions(ChatOptions):
    """Options of the protocol.

    Attributes:
        model: its name.
        prompt: what stands behind the image; {labels} is replaced by the list of labels.
        temperature: of sampling; `none` leaves it to the server.
        max_tokens: most tokens of an answer.
        version: of the API.
        picture: how images become pictures.
    """

    version: str = "2023-06-01"


def connect(endpoint: Endpoint, options: AnthropicOptions, send: Send) -> ChatProtocol:
    """The protocol for a model; nothing is asked."""
    spec, spoken = chat_spec(endpoint, options, {"version": options.version})
    settings = given(
        model=options.model, max_tokens=options.max_tokens or _MOST_TOKENS, temperature=options.temperature
    )
    headers, url = _headers(options), _url(endpoint)

    def compose(file: bytes) -> Request:
        source = {"type": "base64", "media_type": options.picture.media_type, "data": base64_text(file)}
        content: list[dict[str, Any]] = [
            {"type": "image", "source": source},
            {"type": "text", "text": spoken.asked(options.prompt)},
        ]
        return Request("POST", url, headers, dump(settings | {"messages": [{"role": "user", "content": content}]}))

    return ChatProtocol(
        spec=spec, spoken=spoken, picture=options.picture, compose=compose, understand=_understand, told=_told
    )


def _url(endpoint: Endpoint) -> str:
    return f"{endpoint.url.removesuffix('/v1')}/v1/messages"


def _headers(options: AnthropicOptions) -> dict[str, str]:
    return {"Content-Type": "application/json", "anthropic-version": options.version}


def _batches(endpoint: Endpoint, options: AnthropicOptions, send: Send) -> AnthropicBatches:
    return AnthropicBatches(_url(endpoint), _headers(options), send)


def _understand(reply: Reply) -> Said:
    tree = load_object(reply.body)
    stop = tree.get("stop_reason")
    text = joined(member(tree, "content", list))
    return Said(text, stop == "max_tokens", stop == "refusal", optional_text(tree, {"model": "model"}))


_CACHE = Cache(("cache_read_input_tokens",), ("cache_creation_input_tokens",), apart=True)


def _told(tree: Mapping[str, Any]) -> Usage | None:
    return Usage.told(tree.get("usage"), "input_tokens", "output_tokens", cache=_CACHE)


_MOST_TOKENS = 1024
"""The API needs a number: that of a user who leaves it to the server."""

DESCRIPTOR = ProtocolDescriptor(
    name="anthropic",
    usage="anthropic+https://api.anthropic.com?model=MODEL&labels=A,B,...",
    summary="Anthropic's messages: a vision-language model names a label (key: ANTHROPIC_API_KEY)",
    options=AnthropicOptions,
    connect=connect,
    small=lambda endpoint: ANTHROPIC,
    key=Key("ANTHROPIC_API_KEY", "x-api-key", required=False),
    batches=_batches,
)
