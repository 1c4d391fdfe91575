"""Hugging Face Inference Endpoints and compatible servers, task image-classification.

Replies do not name the model: what is behind an endpoint can only be told by asking known images again. Source:
https://huggingface.co/docs/api-inference/tasks/image-classification.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from oracles.errors import AnswerError
from oracles.remote.descriptor import Endpoint, Key, ProtocolDescriptor
from oracles.remote.image_encoding import Picture, base64_text
from oracles.remote.json_text import dump, kind, load
from oracles.remote.messages import Reply, Request
from oracles.remote.protocols.pictures import PictureProtocol, RankedReply, picture_protocol, ranked
from oracles.remote.wire_protocol import Send


@dataclass(frozen=True, slots=True, kw_only=True)
class HuggingfaceOptions:
    """Options of the protocol.

    Attributes:
        top_k: how many labels to ask for, None for the server's choice.
        picture: how images become pictures.
    """

    top_k: int | None = None
    picture: Picture = field(default_factory=Picture)


def connect(endpoint: Endpoint, options: HuggingfaceOptions, send: Send) -> PictureProtocol:
    """The protocol for an endpoint; nothing is asked."""

    def compose(files: list[bytes]) -> Request:
        (file,) = files
        if options.top_k is None:
            return Request("POST", endpoint.url, {"Content-Type": options.picture.media_type}, file)
        tree = {"inputs": base64_text(file), "parameters": {"top_k": options.top_k}}
        return Request("POST", endpoint.url, {"Content-Type": "application/json"}, dump(tree))

    return picture_protocol(endpoint, options.picture, compose, _understand, details={"top_k": options.top_k})


def _understand(reply: Reply, images: int) -> RankedReply:
    tree = load(reply.body)
    if not isinstance(tree, list):
        raise AnswerError(f"the reply should be a list of labels with scores, got {kind(tree)}")
    return RankedReply([ranked(tree, "label", "score")])


DESCRIPTOR = ProtocolDescriptor(
    name="huggingface",
    usage="huggingface+https://ENDPOINT",
    summary="Hugging Face Inference Endpoints, image classification (key: HF_TOKEN)",
    options=HuggingfaceOptions,
    connect=connect,
    key=Key("HF_TOKEN", "Authorization", "Bearer ", required=False),
)
