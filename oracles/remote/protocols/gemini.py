"""Google's Gemini, of the Gemini API and of Vertex AI: a model as a classifier that names one label.

Source: Google's reference of `models.generateContent`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oracles.errors import AnswerError
from oracles.remote.batches.gemini import GeminiBatches
from oracles.remote.descriptor import Endpoint, Key, ProtocolDescriptor
from oracles.remote.image_encoding import base64_text
from oracles.remote.json_text import dump, kind, load_object, optional_text, per_image
from oracles.remote.messages import Reply, Request
from oracles.remote.protocols.chat import (
    ChatOptions,
    ChatProtocol,
    Said,
    chat_spec,
    given,
    joined,
    label_in_json,
    label_schema,
)
from oracles.remote.small_images import GEMINI
from oracles.remote.wire_protocol import Send
from oracles.usage import Cache, Usage

_REFUSALS = (
    "SAFETY",
    "PROHIBITED_CONTENT",
    "BLOCKLIST",
    "SPII",
    "RECITATION",
    "IMAGE_SAFETY",
)  # a reply may hold lists
_HOST_SLASHES = 2  # of https://HOST
_VERSION = re.compile(r"/v[0-9]")


@dataclass(frozen=True, slots=True, kw_only=True)
class GeminiOptions(ChatOptions):
    """Options of the protocol.

    Attributes:
        model: its name.
        prompt: what stands behind the image; {labels} is replaced by the list of labels.
        temperature: of sampling; `none` leaves it to the server.
        max_tokens: most tokens of an answer; `none` leaves it to the server.
        seed: of sampling; `none` leaves it to the server.
        structured: whether the server is asked to hold the model to the list, by a JSON schema.
        thinking_tokens: most tokens that the model may think with, 0 for none; `none` leaves it to the server.
        picture: how images become pictures.
    """

    seed: int | None = 0
    structured: bool = False
    thinking_tokens: int | None = None


def connect(endpoint: Endpoint, options: GeminiOptions, send: Send) -> ChatProtocol:
    """The protocol for a model; nothing is asked."""
    told = {"seed": options.seed, "structured": options.structured, "thinking_tokens": options.thinking_tokens}
    spec, spoken = chat_spec(endpoint, options, told)
    schema = label_schema(spoken.listed)
    del schema["additionalProperties"]  # of which this API knows nothing
    config = given(
        temperature=options.temperature,
        maxOutputTokens=options.max_tokens,
        seed=options.seed,
        responseMimeType="application/json" if options.structured else None,
        responseSchema=schema if options.structured else None,
        thinkingConfig=None if options.thinking_tokens is None else {"thinkingBudget": options.thinking_tokens},
    )
    root = _root(endpoint)

    def compose(file: bytes) -> Request:
        parts: list[dict[str, Any]] = [
            {"inlineData": {"mimeType": options.picture.media_type, "data": base64_text(file)}},
            {"text": spoken.asked(options.prompt)},
        ]
        body = dump({"contents": [{"role": "user", "parts": parts}], "generationConfig": config})
        return Request(
            "POST", f"{root}/models/{options.model}:generateContent", {"Content-Type": "application/json"}, body
        )

    return ChatProtocol(
        spec=spec,
        spoken=spoken,
        picture=options.picture,
        compose=compose,
        understand=_understand,
        told=_told,
        unpack=label_in_json if options.structured else str,
    )


def _root(endpoint: Endpoint) -> str:
    return endpoint.url if _VERSION.search(endpoint.url.partition("://")[2]) else f"{endpoint.url}/v1beta"


def _batches(endpoint: Endpoint, options: GeminiOptions, send: Send) -> GeminiBatches | None:
    """The batches of the Gemini API; those of Vertex AI, whose address names a project, read from a bucket."""
    host, _, version = _root(endpoint).rpartition("/")
    return GeminiBatches(host, version, options.model, send) if host.count("/") == _HOST_SLASHES else None


def _understand(reply: Reply) -> Said:
    tree = load_object(reply.body)
    identity = optional_text(tree, {"modelVersion": "version"})
    feedback = tree.get("promptFeedback")
    if isinstance(feedback, dict) and feedback.get("blockReason"):
        return Said("", refused=True, identity=identity)
    (candidate,) = per_image(tree.get("candidates"), 1, "candidates")
    if not isinstance(candidate, dict):
        raise AnswerError(f"the reply should hold a candidate as an object, got {kind(candidate)}")
    reason, content = candidate.get("finishReason"), candidate.get("content")
    parts = content.get("parts", []) if isinstance(content, dict) else []
    return Said(joined(parts), reason == "MAX_TOKENS", reason in _REFUSALS, identity)


_CACHE = Cache(("cachedContentTokenCount",))


def _told(tree: Mapping[str, Any]) -> Usage | None:
    written = ("candidatesTokenCount", "thoughtsTokenCount")
    return Usage.told(tree.get("usageMetadata"), "promptTokenCount", *written, cache=_CACHE)


DESCRIPTOR = ProtocolDescriptor(
    name="gemini",
    usage="gemini+https://generativelanguage.googleapis.com?model=MODEL&labels=A,B,...",
    summary="Google's Gemini names a label, also on Vertex AI with auth=google (key: GEMINI_API_KEY)",
    options=GeminiOptions,
    connect=connect,
    small=lambda endpoint: GEMINI,
    key=Key("GEMINI_API_KEY", "x-goog-api-key", required=False),
    batches=_batches,
)
