"""LitServe. What a request and a reply hold is up to `decode_request` and `encode_response`, so options say it.

Source: LitServe's documentation.
"""

from __future__ import annotations

from dataclasses import dataclass

from oracles.remote.descriptor import Endpoint, ProtocolDescriptor
from oracles.remote.protocols.handlers import HandlerOptions, handler_protocol
from oracles.remote.protocols.template import TemplateProtocol
from oracles.remote.wire_protocol import Send


@dataclass(frozen=True, slots=True, kw_only=True)
class LitserveOptions(HandlerOptions):
    """As `HandlerOptions`, for one image a request.

    Attributes:
        key: member of the JSON object, or part of the form, that holds the image; `none` for bare JSON.
        many: whether a JSON request holds a list of images, and its reply one of answers.
        reply_key: member of the reply that holds the answers, `none` for the reply itself.
    """

    key: str | None = "input"
    many: bool = False
    reply_key: str | None = "output"


def connect(endpoint: Endpoint, options: LitserveOptions, send: Send) -> TemplateProtocol:
    """The protocol for a server; nothing is asked."""
    return handler_protocol(endpoint, options, send)


DESCRIPTOR = ProtocolDescriptor(
    name="litserve",
    usage="litserve+http(s)://HOST:PORT/predict",
    summary="LitServe, with a body and a reply as the model's code wants them",
    options=LitserveOptions,
    connect=connect,
)
