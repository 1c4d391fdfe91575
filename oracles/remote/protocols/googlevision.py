"""Google Cloud Vision, label detection.

A reply of status 200 can refuse single images. Replies do not name the model; `model=builtin/stable` is what Google
changes least. Source: the discovery document of `vision.v1`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from oracles.errors import AnswerError, Unanswered
from oracles.remote.descriptor import Endpoint, Key, ProtocolDescriptor
from oracles.remote.image_encoding import Picture, base64_text
from oracles.remote.json_text import dump, kind, load_object, per_image
from oracles.remote.messages import Reply, Request
from oracles.remote.protocols.pictures import PictureProtocol, RankedReply, picture_protocol, ranked
from oracles.remote.small_images import GOOGLE_VISION
from oracles.remote.wire_protocol import Send

_MOST_IMAGES = 16
_LATER = (8, 14)
"""Codes of google.rpc.Code for RESOURCE_EXHAUSTED and UNAVAILABLE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GooglevisionOptions:
    """Options of the protocol.

    Attributes:
        max_results: most labels an image.
        model: `builtin/stable` or `builtin/latest`.
        picture: how images become pictures.
    """

    max_results: int = 10
    model: str = "builtin/stable"
    picture: Picture = field(default_factory=Picture)


def connect(endpoint: Endpoint, options: GooglevisionOptions, send: Send) -> PictureProtocol:
    """The protocol for the service; nothing is asked."""
    feature = {"type": "LABEL_DETECTION", "maxResults": options.max_results, "model": options.model}

    def compose(files: list[bytes]) -> Request:
        asked = [{"image": {"content": base64_text(file)}, "features": [feature]} for file in files]
        url = f"{endpoint.url}/v1/images:annotate"
        return Request("POST", url, {"Content-Type": "application/json"}, dump({"requests": asked}))

    return picture_protocol(
        endpoint, options.picture, compose, _understand, max_batch=_MOST_IMAGES, details={"feature": feature}
    )


def _understand(reply: Reply, images: int) -> RankedReply:
    responses = per_image(load_object(reply.body).get("responses"), images, "responses")
    errors = [_error(response) for response in responses]
    refused = [error for error in errors if error is not None]
    if len(refused) == images and all(error.get("code") in _LATER for error in refused):
        raise Unanswered(f"Google Cloud Vision answered no image: {_said(refused[0])}")
    if refused:
        raise AnswerError(f"Google Cloud Vision refused {len(refused)} of {images} images: {_said(refused[0])}")
    return RankedReply([ranked(response.get("labelAnnotations"), "description", "score") for response in responses])


def _error(response: Any) -> dict[str, Any] | None:
    """Error of one image, None where nothing is wrong."""
    if not isinstance(response, dict):
        raise AnswerError(f"the reply should hold an object for each image, got {kind(response)}")
    error = response.get("error")
    return error if isinstance(error, dict) else None if error is None else {"message": error}


def _said(error: dict[str, Any]) -> str:
    return f"{kind(error.get('code'))}, {kind(error.get('message'))}"


DESCRIPTOR = ProtocolDescriptor(
    name="googlevision",
    usage="googlevision:[https://HOST]",
    summary="Google Cloud Vision, label detection (key: GOOGLE_API_KEY)",
    options=GooglevisionOptions,
    connect=connect,
    small=lambda endpoint: GOOGLE_VISION,
    key=Key("GOOGLE_API_KEY", "X-Goog-Api-Key"),
    locate=lambda rest: rest or "https://vision.googleapis.com",
)
