"""Azure Custom Vision, classification by a published iteration. Pictures are not stored there.

Source: the SDK azure-cognitiveservices-vision-customvision 3.1.1.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from oracles.errors import SpecError
from oracles.remote.encodings import Picture
from oracles.remote.json_text import load_object, member, optional_text
from oracles.remote.kinds import Key, Kind, Target
from oracles.remote.messages import Reply, Request
from oracles.remote.protocol import Send
from oracles.remote.protocols.pictures import Found, PictureProtocol, picture_protocol, ranked


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomvisionOptions:
    """What may be said.

    Attributes:
        picture: how images become pictures.
    """

    picture: Picture = field(default_factory=Picture)


def connect(target: Target, options: CustomvisionOptions, send: Send) -> PictureProtocol:
    """The protocol for a published iteration; nothing is asked.

    Raises:
        SpecError: the URL names no iteration.
    """
    if "/classify/iterations/" not in target.url:
        raise SpecError(f"the URL should end in /PROJECT/classify/iterations/PUBLISHED_NAME, got {target.url}")

    def compose(files: list[bytes]) -> Request:
        (file,) = files
        return Request("POST", f"{target.url}/image/nostore", {"Content-Type": "application/octet-stream"}, file)

    return picture_protocol(target, options.picture, compose, _understand)


def _understand(reply: Reply, images: int) -> Found:
    tree = load_object(reply.body)
    tags = member(tree, "predictions", list)
    identity = optional_text(tree, {"project": "project", "iteration": "iteration"})
    return Found([ranked(tags, "tagName", "probability")], identity)


KIND = Kind(
    name="customvision",
    usage="customvision+https://HOST/customvision/v3.1/prediction/PROJECT/classify/iterations/PUBLISHED_NAME",
    summary="Azure Custom Vision, classification (key: AZURE_CUSTOM_VISION_KEY)",
    options=CustomvisionOptions,
    connect=connect,
    key=Key("AZURE_CUSTOM_VISION_KEY", "Prediction-Key"),
)
