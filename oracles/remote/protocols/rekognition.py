"""AWS Rekognition: DetectLabels, or DetectCustomLabels for a model of one's own.

Requests are signed (signature version 4) by botocore, an optional extra. Source: botocore's service model of
Rekognition, 2016-06-27.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from oracles.errors import SpecError
from oracles.remote.descriptor import Endpoint, ProtocolDescriptor
from oracles.remote.image_encoding import Picture, base64_text
from oracles.remote.json_text import dump, load_object, member, optional_text
from oracles.remote.messages import Reply, Request
from oracles.remote.protocols.pictures import PictureProtocol, RankedReply, picture_protocol, ranked
from oracles.remote.signing import aws
from oracles.remote.wire_protocol import Send

_PERCENT = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RekognitionOptions:
    """Options of the protocol.

    Attributes:
        project_version: ARN of a model of one's own, None for Amazon's labels.
        region: where the host does not say it.
        max_labels: most labels an image.
        min_confidence: labels below are left out, in percent. Amazon's own default of 55 would leave noisy images
            without any label.
        picture: how images become pictures.
    """

    project_version: str | None = None
    region: str | None = None
    max_labels: int = 10
    min_confidence: float = 0.0
    picture: Picture = field(default_factory=Picture)


def connect(endpoint: Endpoint, options: RekognitionOptions, send: Send) -> PictureProtocol:
    """The protocol for a region; nothing is asked."""
    asked: dict[str, object] = {"MinConfidence": options.min_confidence}
    if options.project_version is None:
        operation, members = "DetectLabels", "Labels"
        asked["MaxLabels"] = options.max_labels
    else:
        operation, members = "DetectCustomLabels", "CustomLabels"
        asked |= {"MaxResults": options.max_labels, "ProjectVersionArn": options.project_version}
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"RekognitionService.{operation}"}

    def compose(files: list[bytes]) -> Request:
        (file,) = files
        return Request("POST", f"{endpoint.url}/", headers, dump({"Image": {"Bytes": base64_text(file)}, **asked}))

    def understand(reply: Reply, images: int) -> RankedReply:
        tree = load_object(reply.body)
        labels = ranked(member(tree, members, list), "Name", "Confidence", most=_PERCENT)
        return RankedReply([labels], optional_text(tree, {"LabelModelVersion": "version"}))

    details = {"operation": operation, **asked}
    return picture_protocol(endpoint, options.picture, compose, understand, details=details)


def locate(rest: str) -> str:
    """The URL of a region, or a URL as it is.

    Raises:
        SpecError: there is neither.
    """
    if not rest:
        raise SpecError("rekognition: needs a region, like rekognition:eu-west-1, or a url")
    return rest if "://" in rest else f"https://rekognition.{rest}.amazonaws.com"


def sign(endpoint: Endpoint, options: RekognitionOptions, learn: Callable[[str], None]) -> Callable[[Request], Request]:
    """A signer with the credentials that botocore finds.

    Raises:
        SpecError: botocore or the credentials are not there, or nobody says the region.
    """
    return aws("rekognition", options.region, endpoint.url, learn)


DESCRIPTOR = ProtocolDescriptor(
    name="rekognition",
    usage="rekognition:REGION[?project_version=ARN]",
    summary="AWS Rekognition, labels or custom labels (keys: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY; extra: aws)",
    options=RekognitionOptions,
    connect=connect,
    locate=locate,
    sign=sign,
)
