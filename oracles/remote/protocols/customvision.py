"""Azure Custom Vision, classification by a published iteration. Pictures are not stored there.

Source: the SDK azure-cognitiveservices-vision-customvision 3.1.1.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from oracles.errors import SpecError
from oracles.remote.descriptor import Endpoint, Key, ProtocolDescriptor
from oracles.remote.image_encoding import Picture
from oracles.remote.json_text import load_object, member, optional_text
from oracles.remote.messages import Reply, Request
from oracles.remote.protocols.pictures import PictureProtocol, RankedReply, picture_protocol, ranked
from oracles.remote.wire_protocol import Send


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomvisionOptions:
    """Options of the protocol.

    Attributes:
        picture: how images become pictures.
    """

    picture: Picture = field(default_factory=Picture)


def connect(endpoint: Endpoint, options: CustomvisionOptions, send: Send) -> PictureProtocol:
    """The protocol for a published iteration; nothing is asked.

    Raises:
        SpecError: the URL names no iteration.
    """
    if "/classify/iterations/" not in endpoint.url:
        raise SpecError(f"the URL should end in /PROJECT/classify/iterations/PUBLISHED_NAME, got {endpoint.url}")

    def compose(files: list[bytes]) -> Request:
        (file,) = files
        return Request("POST", f"{endpoint.url}/image/nostore", {"Content-Type": "application/octet-stream"}, file)

    return picture_protocol(endpoint, options.picture, compose, _understand)


def _understand(reply: Reply, images: int) -> RankedReply:
    tree = load_object(reply.body)
    tags = member(tree, "predictions", list)
    identity = optional_text(tree, {"project": "project", "iteration": "iteration"})
    return RankedReply([ranked(tags, "tagName", "probability")], identity)


DESCRIPTOR = ProtocolDescriptor(
    name="customvision",
    usage="customvision+https://HOST/customvision/v3.1/prediction/PROJECT/classify/iterations/PUBLISHED_NAME",
    summary="Azure Custom Vision, classification (key: AZURE_CUSTOM_VISION_KEY)",
    options=CustomvisionOptions,
    connect=connect,
    key=Key("AZURE_CUSTOM_VISION_KEY", "Prediction-Key"),
)
