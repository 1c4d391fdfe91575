"""Clarifai v2, concepts of a classification model. What went wrong stands in the body, whatever the HTTP status says.

Source: the routes of clarifai-grpc 12.6.0 and Clarifai's list of status codes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from oracles.errors import AnswerError, OracleUnavailable, SpecError, Unanswered
from oracles.remote.descriptor import Endpoint, Key, ProtocolDescriptor
from oracles.remote.image_encoding import Picture, base64_text
from oracles.remote.json_text import dump, kind, load_object, member, optional_text, per_image
from oracles.remote.messages import Reply, Request
from oracles.remote.protocols.pictures import PictureProtocol, RankedReply, picture_protocol, ranked
from oracles.remote.wire_protocol import Send

_MOST_IMAGES = 128
_SUCCESS, _MIXED, _THROTTLED = 10000, 10010, 11005
_ACCOUNT = range(11000, 12000)
"""Codes that are about the key, the account or its limits."""
_WAIT_SECONDS = 15.0
"""What Clarifai advises after a throttle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClarifaiOptions:
    """Options of the protocol.

    Attributes:
        picture: how images become pictures.
    """

    picture: Picture = field(default_factory=Picture)


def connect(endpoint: Endpoint, options: ClarifaiOptions, send: Send) -> PictureProtocol:
    """The protocol for a model; nothing is asked.

    Raises:
        SpecError: the URL names no model.
    """
    if "/models/" not in endpoint.url:
        raise SpecError(f"the URL should end in /models/MODEL or /models/MODEL/versions/V, got {endpoint.url}")

    def compose(files: list[bytes]) -> Request:
        inputs = [{"data": {"image": {"base64": base64_text(file)}}} for file in files]
        headers = {"Content-Type": "application/json"}
        return Request("POST", f"{endpoint.url}/outputs", headers, dump({"inputs": inputs}))

    return picture_protocol(endpoint, options.picture, compose, _understand, max_batch=_MOST_IMAGES)


def _understand(reply: Reply, images: int) -> RankedReply:
    tree = load_object(reply.body)
    code, said = _status(tree)
    if code == _THROTTLED:
        raise Unanswered(said, retry_after=_WAIT_SECONDS)
    if code in _ACCOUNT:
        raise OracleUnavailable(said)
    if code not in (_SUCCESS, _MIXED):
        raise AnswerError(said)
    outputs = per_image(tree.get("outputs"), images, "outputs")
    refused = [said for code, said in map(_status, outputs) if code != _SUCCESS]
    if refused:
        raise AnswerError(f"{refused[0]} for {len(refused)} of {images} images")
    found = [ranked(member(output, "data", dict).get("concepts"), "name", "value") for output in outputs]
    return RankedReply(found, _identity(outputs))


def _status(tree: Any) -> tuple[int, str]:
    """The code, and what it means."""
    status = member(tree, "status", dict)
    code: int = member(status, "code", int)
    return code, f"Clarifai answered {code}, {kind(status.get('description'))}"


def _identity(outputs: list[Any]) -> dict[str, str]:
    """Model and version, which must be the same for all images of a request.

    Raises:
        AnswerError: they are not.
    """
    models = [output.get("model") for output in outputs]
    found = [_named(model) for model in models if isinstance(model, dict)]
    if any(named != found[0] for named in found):
        raise AnswerError("different versions of the model answered within one reply")
    return found[0] if found else {}


def _named(model: dict[str, Any]) -> dict[str, str]:
    version = model.get("model_version")
    identity = optional_text(model, {"id": "name"})
    return identity | (optional_text(version, {"id": "version"}) if isinstance(version, dict) else {})


DESCRIPTOR = ProtocolDescriptor(
    name="clarifai",
    usage="clarifai+https://api.clarifai.com/v2/users/USER/apps/APP/models/MODEL[/versions/V]",
    summary="Clarifai v2, concepts (key: CLARIFAI_PAT)",
    options=ClarifaiOptions,
    connect=connect,
    key=Key("CLARIFAI_PAT", "Authorization", "Key "),
)
