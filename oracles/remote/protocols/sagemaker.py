"""Amazon SageMaker's real-time endpoints. What a body and a reply hold is up to the container, so options say it.

Requests are signed (signature version 4) by botocore, an optional extra. Source: Amazon's reference of InvokeEndpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from oracles.errors import SpecError
from oracles.remote.descriptor import Endpoint, ProtocolDescriptor
from oracles.remote.messages import Request
from oracles.remote.protocols.handlers import HandlerOptions, handler_protocol
from oracles.remote.protocols.template import TemplateProtocol
from oracles.remote.signing import aws
from oracles.remote.wire_protocol import Send


@dataclass(frozen=True, slots=True, kw_only=True)
class SagemakerOptions(HandlerOptions):
    """As `HandlerOptions`.

    Attributes:
        region: where the address does not say it.
    """

    region: str | None = None


def connect(endpoint: Endpoint, options: SagemakerOptions, send: Send) -> TemplateProtocol:
    """The protocol for an endpoint; nothing is asked.

    Raises:
        SpecError: the URL names no endpoint, or the options contradict each other.
    """
    if not endpoint.url.endswith("/invocations"):
        raise SpecError(f"the URL should end in /endpoints/NAME/invocations, got {endpoint.url}")
    return handler_protocol(endpoint, options, send)


def locate(rest: str) -> str:
    """The URL of an endpoint in a region, or a URL as it is.

    Raises:
        SpecError: there is neither.
    """
    if "://" in rest:
        return rest
    region, _, name = rest.partition("/")
    if not region or not name:
        raise SpecError("sagemaker: needs a region and an endpoint, like sagemaker:eu-west-1/NAME, or a url")
    return f"https://runtime.sagemaker.{region}.amazonaws.com/endpoints/{name}/invocations"


def sign(endpoint: Endpoint, options: SagemakerOptions, learn: Callable[[str], None]) -> Callable[[Request], Request]:
    """A signer with the credentials that botocore finds.

    Raises:
        SpecError: botocore or the credentials are not there, or nobody says the region.
    """
    return aws("sagemaker", options.region, endpoint.url, learn)


DESCRIPTOR = ProtocolDescriptor(
    name="sagemaker",
    usage="sagemaker:REGION/ENDPOINT",
    summary="a real-time endpoint of Amazon SageMaker (keys: as AWS's own tools find them; extra: aws)",
    options=SagemakerOptions,
    connect=connect,
    locate=locate,
    sign=sign,
)
