"""Amazon Bedrock's Converse with an image: a vision-language model as a classifier that names one label.

Requests are signed (signature version 4) by botocore, an optional extra. Source: botocore's service model of
bedrock-runtime.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from oracles.errors import SpecError
from oracles.remote.descriptor import Endpoint, ProtocolDescriptor
from oracles.remote.image_encoding import base64_text
from oracles.remote.json_text import dump, load_object, member
from oracles.remote.messages import Reply, Request
from oracles.remote.protocols.chat import ChatOptions, ChatProtocol, Said, chat_spec, given, joined
from oracles.remote.signing import aws
from oracles.remote.wire_protocol import Send
from oracles.usage import Cache, Usage

_REFUSALS = ("guardrail_intervened", "content_filtered")


@dataclass(frozen=True, slots=True, kw_only=True)
class BedrockOptions(ChatOptions):
    """Options of the protocol.

    Attributes:
        model: its identifier, or that of an inference profile, or an ARN.
        prompt: what stands behind the image; {labels} is replaced by the list of labels.
        temperature: of sampling; `none` leaves it to the server.
        max_tokens: most tokens of an answer; `none` leaves it to the server.
        region: where the host does not say it.
        picture: how images become pictures.
    """

    region: str | None = None


def connect(endpoint: Endpoint, options: BedrockOptions, send: Send) -> ChatProtocol:
    """The protocol for a model; nothing is asked."""
    spec, spoken = chat_spec(endpoint, options)
    config = given(maxTokens=options.max_tokens, temperature=options.temperature)
    url = f"{endpoint.url}/model/{quote(options.model, safe='')}/converse"

    def compose(file: bytes) -> Request:
        image = {"format": options.picture.format.value, "source": {"bytes": base64_text(file)}}
        content: list[dict[str, Any]] = [{"image": image}, {"text": spoken.asked(options.prompt)}]
        tree: dict[str, Any] = {"messages": [{"role": "user", "content": content}]}
        return Request("POST", url, {"Content-Type": "application/json"}, dump(tree | {"inferenceConfig": config}))

    return ChatProtocol(
        spec=spec, spoken=spoken, picture=options.picture, compose=compose, understand=_understand, told=_told
    )


def _understand(reply: Reply) -> Said:
    tree = load_object(reply.body)
    message = member(member(tree, "output", dict), "message", dict)
    stop = tree.get("stopReason")
    return Said(joined(member(message, "content", list)), stop == "max_tokens", stop in _REFUSALS)


_CACHE = Cache(("cacheReadInputTokens",), ("cacheWriteInputTokens",), apart=True)


def _told(tree: Mapping[str, Any]) -> Usage | None:
    return Usage.told(tree.get("usage"), "inputTokens", "outputTokens", cache=_CACHE)


def locate(rest: str) -> str:
    """The URL of a region, or a URL as it is.

    Raises:
        SpecError: there is neither.
    """
    if not rest:
        raise SpecError("bedrock: needs a region, like bedrock:eu-west-1, or a url")
    return rest if "://" in rest else f"https://bedrock-runtime.{rest}.amazonaws.com"


def sign(endpoint: Endpoint, options: BedrockOptions, learn: Callable[[str], None]) -> Callable[[Request], Request]:
    """A signer with the credentials that botocore finds.

    Raises:
        SpecError: botocore or the credentials are not there, or nobody says the region.
    """
    return aws("bedrock", options.region, endpoint.url, learn)


DESCRIPTOR = ProtocolDescriptor(
    name="bedrock",
    usage="bedrock:REGION?model=MODEL&labels=A,B,...",
    summary="a vision-language model in Amazon Bedrock names a label (keys: as AWS's own tools find them; extra: aws)",
    options=BedrockOptions,
    connect=connect,
    locate=locate,
    sign=sign,
)
