"""BentoML. What a request and a reply hold is up to the parameters of the service's method, so options say it.

Source: BentoML's documentation.
"""

from __future__ import annotations

from dataclasses import dataclass

from oracles.remote.descriptor import Endpoint, ProtocolDescriptor
from oracles.remote.protocols.handlers import HandlerContent, HandlerOptions, handler_protocol
from oracles.remote.protocols.template import TemplateProtocol
from oracles.remote.wire_protocol import Send


@dataclass(frozen=True, slots=True, kw_only=True)
class BentomlOptions(HandlerOptions):
    """As `HandlerOptions`, for one image a request.

    Attributes:
        content: as there; BentoML takes pictures as uploads, arrays as JSON.
        key: member of the JSON object, or part of the form, that holds the image; `none` for bare JSON.
        many: whether a JSON request holds a list of images, and its reply one of answers. One that takes longer than
            the `max_latency_ms` of a batchable method gets 503, each time (1.4): `batch_size` must be smaller then.
        reply_key: member of the reply that holds the answers, `none` for the reply itself.
    """

    content: HandlerContent = HandlerContent.UPLOAD
    key: str | None = "image"
    many: bool = False
    reply_key: str | None = None


def connect(endpoint: Endpoint, options: BentomlOptions, send: Send) -> TemplateProtocol:
    """The protocol for a server; nothing is asked."""
    return handler_protocol(endpoint, options, send)


DESCRIPTOR = ProtocolDescriptor(
    name="bentoml",
    usage="bentoml+http(s)://HOST:PORT/METHOD",
    summary="BentoML, with a body and a reply as the service's method wants them",
    options=BentomlOptions,
    connect=connect,
)
