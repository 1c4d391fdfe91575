"""Gradio's apps, also those of Hugging Face Spaces: a call, then events until it is complete.

Source: Gradio's guide to querying apps with curl.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from oracles.errors import SpecError
from oracles.remote.descriptor import Endpoint, ProtocolDescriptor
from oracles.remote.image_encoding import Picture
from oracles.remote.protocols.handlers import placeholder, template_of
from oracles.remote.protocols.reply_formats import ReplyFormat
from oracles.remote.protocols.template import TemplateProtocol
from oracles.remote.protocols.template_polling import PollingOptions
from oracles.remote.protocols.template_response import ResponseOptions
from oracles.remote.tensors import TensorOptions
from oracles.remote.wire_protocol import Send


@dataclass(frozen=True, slots=True, kw_only=True)
class GradioOptions:
    """Options of the protocol.

    Attributes:
        poll_seconds: until the events of a call are looked at; they are waited for there.
        picture: how images become pictures.
    """

    poll_seconds: float = 0.05
    picture: Picture = field(default_factory=Picture)


def connect(endpoint: Endpoint, options: GradioOptions, send: Send) -> TemplateProtocol:
    """The protocol for a function of an app that takes an image and returns a label; nothing is asked.

    Raises:
        SpecError: the URL names no function.
    """
    if "/call/" not in endpoint.url:
        raise SpecError(f"the URL should end in /gradio_api/call/NAME, got {endpoint.url}")
    image = {"url": placeholder(options.picture, "data-url"), "meta": {"_type": "gradio.FileData"}}
    return template_of(
        endpoint,
        send,
        body={"data": [image]},
        tensor=TensorOptions(channels=options.picture.channels),
        response=ResponseOptions(
            format=ReplyFormat.EVENTS, entries="[0].confidences", labels="label", scores="confidence"
        ),
        polling=PollingOptions(url=f"{endpoint.url}/{{event_id}}", seconds=options.poll_seconds),
    )


DESCRIPTOR = ProtocolDescriptor(
    name="gradio",
    usage="gradio+http(s)://HOST/gradio_api/call/NAME",
    summary="a function of a Gradio app that takes an image and returns a label (private Spaces: key_env=HF_TOKEN)",
    options=GradioOptions,
    connect=connect,
)
