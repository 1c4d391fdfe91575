"""Azure AI Vision (Image Analysis 4.0), tags.

Source: MicrosoftDocs/azure-docs, `analyze-image-40-rest.md`, and the SDK azure-ai-vision-imageanalysis 1.0.0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlencode

from oracles.remote.descriptor import Endpoint, Key, ProtocolDescriptor
from oracles.remote.image_encoding import Picture
from oracles.remote.json_text import load_object, member, optional_text
from oracles.remote.messages import Reply, Request
from oracles.remote.protocols.pictures import PictureProtocol, RankedReply, picture_protocol, ranked
from oracles.remote.small_images import AZURE_VISION
from oracles.remote.wire_protocol import Send


@dataclass(frozen=True, slots=True, kw_only=True)
class AzurevisionOptions:
    """Options of the protocol.

    Attributes:
        api_version: of the REST API.
        model_version: of the model, None for the service's choice.
        picture: how images become pictures.
    """

    api_version: str = "2023-10-01"
    model_version: str | None = None
    picture: Picture = field(default_factory=Picture)


def connect(endpoint: Endpoint, options: AzurevisionOptions, send: Send) -> PictureProtocol:
    """The protocol for a resource; nothing is asked."""
    asked = {"api-version": options.api_version, "features": "tags"}
    if options.model_version is not None:
        asked["model-version"] = options.model_version
    url = f"{endpoint.url}/computervision/imageanalysis:analyze?{urlencode(asked)}"

    def compose(files: list[bytes]) -> Request:
        (file,) = files
        return Request("POST", url, {"Content-Type": "application/octet-stream"}, file)

    return picture_protocol(endpoint, options.picture, compose, _understand, details=asked)


def _understand(reply: Reply, images: int) -> RankedReply:
    tree = load_object(reply.body)
    tags = member(member(tree, "tagsResult", dict), "values", list)
    return RankedReply([ranked(tags, "name", "confidence")], optional_text(tree, {"modelVersion": "version"}))


DESCRIPTOR = ProtocolDescriptor(
    name="azurevision",
    usage="azurevision+https://RESOURCE.cognitiveservices.azure.com",
    summary="Azure AI Vision, tags (key: AZURE_VISION_KEY)",
    options=AzurevisionOptions,
    connect=connect,
    small=lambda endpoint: AZURE_VISION,
    key=Key("AZURE_VISION_KEY", "Ocp-Apim-Subscription-Key"),
)
