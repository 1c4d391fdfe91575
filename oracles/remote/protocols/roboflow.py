"""Roboflow's classification, hosted or on a machine of one's own: a picture in base64 as the body.

The key is a parameter of the address, `?api_key=${ROBOFLOW_API_KEY}`. Source: Roboflow's documentation of its hosted
image classification.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from oracles.remote.descriptor import Endpoint, ProtocolDescriptor
from oracles.remote.image_encoding import Picture
from oracles.remote.protocols.handlers import placeholder, template_of
from oracles.remote.protocols.template import TemplateProtocol
from oracles.remote.protocols.template_response import ResponseOptions
from oracles.remote.tensors import TensorOptions
from oracles.remote.wire_protocol import Send


@dataclass(frozen=True, slots=True, kw_only=True)
class RoboflowOptions:
    """Options of the protocol.

    Attributes:
        multi_label: whether the model gives an image several labels, each with a score of its own.
        picture: how images become pictures.
    """

    multi_label: bool = False
    picture: Picture = field(default_factory=Picture)


def connect(endpoint: Endpoint, options: RoboflowOptions, send: Send) -> TemplateProtocol:
    """The protocol for a model; nothing is asked."""
    if options.multi_label:
        response = ResponseOptions(labels="keys(predictions)", scores="values(predictions)[].confidence")
    else:
        response = ResponseOptions(entries="predictions", labels='"class"', scores="confidence")
    return template_of(
        endpoint,
        send,
        body=placeholder(options.picture, "base64"),
        content_type="application/x-www-form-urlencoded",
        tensor=TensorOptions(channels=options.picture.channels),
        response=response,
    )


DESCRIPTOR = ProtocolDescriptor(
    name="roboflow",
    usage="roboflow+https://classify.roboflow.com/PROJECT/VERSION, in an oracle.toml with ?api_key=${ROBOFLOW_API_KEY}",
    summary="Roboflow's classification, hosted or in its inference server",
    options=RoboflowOptions,
    connect=connect,
)
