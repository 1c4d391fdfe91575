"""Ollama's chat with an image: a vision-language model on a machine of one's own names one label.

Source: Ollama's `docs/api.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oracles.remote.descriptor import Endpoint, ProtocolDescriptor
from oracles.remote.image_encoding import base64_text
from oracles.remote.json_text import dump, load_object, member, optional_text
from oracles.remote.messages import Reply, Request
from oracles.remote.protocols.chat import (
    ChatOptions,
    ChatProtocol,
    Said,
    chat_spec,
    given,
    label_in_json,
    label_schema,
)
from oracles.remote.wire_protocol import Send
from oracles.usage import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaOptions(ChatOptions):
    """Options of the protocol.

    Attributes:
        model: its name.
        prompt: what stands beside the image; {labels} is replaced by the list of labels.
        temperature: of sampling; `none` leaves it to the server.
        max_tokens: most tokens of an answer; `none` leaves it to the server.
        seed: of sampling; `none` leaves it to the server.
        structured: whether the server is asked to hold the model to the list, by a JSON schema.
        think: whether a model that can think aloud shall; `none` leaves it to the server.
        picture: how images become pictures.
    """

    seed: int | None = 0
    structured: bool = False
    think: bool | None = None


def connect(endpoint: Endpoint, options: OllamaOptions, send: Send) -> ChatProtocol:
    """The protocol for a model; nothing is asked."""
    told = {"seed": options.seed, "structured": options.structured, "think": options.think}
    spec, spoken = chat_spec(endpoint, options, told)
    sampling = given(temperature=options.temperature, seed=options.seed, num_predict=options.max_tokens)
    settings = {"model": options.model, "stream": False, "options": sampling}
    settings |= given(format=label_schema(spoken.listed) if options.structured else None, think=options.think)

    def compose(file: bytes) -> Request:
        message = {"role": "user", "content": spoken.asked(options.prompt), "images": [base64_text(file)]}
        body = dump(settings | {"messages": [message]})
        return Request("POST", f"{endpoint.url}/api/chat", {"Content-Type": "application/json"}, body)

    return ChatProtocol(
        spec=spec,
        spoken=spoken,
        picture=options.picture,
        compose=compose,
        understand=_understand,
        told=_told,
        unpack=label_in_json if options.structured else str,
    )


def _understand(reply: Reply) -> Said:
    tree = load_object(reply.body)
    text = member(member(tree, "message", dict), "content", str)
    return Said(text, tree.get("done_reason") == "length", identity=optional_text(tree, {"model": "model"}))


def _told(tree: Mapping[str, Any]) -> Usage | None:
    return Usage.told(tree, "prompt_eval_count", "eval_count")


DESCRIPTOR = ProtocolDescriptor(
    name="ollama",
    usage="ollama+http(s)://HOST:11434?model=MODEL&labels=A,B,...",
    summary="a vision-language model in Ollama names a label",
    options=OllamaOptions,
    connect=connect,
)
