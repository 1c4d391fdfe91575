"""Vertex AI's endpoints: AutoML image classification, or a container of one's own.

Tokens come from google-auth, an optional extra. Source: Google's reference of `endpoints.predict`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from oracles.errors import SpecError
from oracles.remote.descriptor import Endpoint, ProtocolDescriptor
from oracles.remote.messages import Request
from oracles.remote.protocols.handlers import HandlerOptions, handler_protocol, placeholder, template_of
from oracles.remote.protocols.template import TemplateProtocol
from oracles.remote.protocols.template_response import ResponseOptions
from oracles.remote.signing import signer
from oracles.remote.tensors import TensorOptions
from oracles.remote.wire_protocol import Send

_IDENTITY = {"model": "deployedModelId", "version": "modelVersionId"}


@dataclass(frozen=True, slots=True, kw_only=True)
class VertexaiOptions(HandlerOptions):
    """As `HandlerOptions`.

    Attributes:
        automl: whether a model of AutoML is asked, which takes pictures and names labels; else options say what the
            container takes and returns.
        max_labels: most labels that AutoML gives an image.
    """

    automl: bool = True
    max_labels: int = 10


def connect(endpoint: Endpoint, options: VertexaiOptions, send: Send) -> TemplateProtocol:
    """The protocol for an endpoint; nothing is asked.

    Raises:
        SpecError: the URL names no endpoint, or the options contradict each other.
    """
    if not endpoint.url.endswith(":predict"):
        raise SpecError(
            "the URL should end in /projects/PROJECT/locations/REGION/endpoints/NUMBER:predict, got " + endpoint.url
        )
    if not options.automl:
        return handler_protocol(endpoint, options, send, _IDENTITY)
    body = {
        "instances": [{"content": placeholder(options.picture, "base64")}],
        "parameters": {"confidenceThreshold": 0.0, "maxPredictions": options.max_labels},
    }
    response = ResponseOptions(
        labels="predictions[0].displayNames", scores="predictions[0].confidences", identity=_IDENTITY
    )
    tensor = TensorOptions(channels=options.picture.channels)
    return template_of(endpoint, send, body=body, tensor=tensor, response=response)


def sign(endpoint: Endpoint, options: VertexaiOptions, learn: Callable[[str], None]) -> Callable[[Request], Request]:
    """A signer with Google's application default credentials.

    Raises:
        SpecError: google-auth or the credentials are not there.
    """
    return signer("google", endpoint.url, learn)


DESCRIPTOR = ProtocolDescriptor(
    name="vertexai",
    usage="vertexai+https://REGION-aiplatform.googleapis.com/v1/projects/P/locations/REGION/endpoints/N:predict",
    summary="an endpoint of Vertex AI (credentials: Google's application default; extra: google)",
    options=VertexaiOptions,
    connect=connect,
    sign=sign,
)
