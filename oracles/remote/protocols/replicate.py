"""Replicate's predictions: a vision-language model is asked which label fits, and its answer is waited for.

Source: Replicate's HTTP API reference.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from oracles.errors import SpecError
from oracles.remote.descriptor import Endpoint, Key, ProtocolDescriptor
from oracles.remote.image_encoding import Picture
from oracles.remote.protocols.handlers import placeholder, template_of
from oracles.remote.protocols.template import TemplateProtocol
from oracles.remote.protocols.template_polling import PollingOptions
from oracles.remote.protocols.template_response import ResponseOptions
from oracles.remote.spoken import PROMPT, SpokenLabels, speakable
from oracles.remote.tensors import TensorOptions
from oracles.remote.wire_protocol import Send


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicateOptions:
    """Options of the protocol.

    Attributes:
        version: of the model, for addresses that end in /v1/predictions; those of a model need none.
        prompt: the question; {labels} is replaced by the list of labels.
        image: name of the model's input for the image.
        question: name of its input for the question.
        inputs: further inputs by name, with their values in JSON.
        poll_seconds: until the answer is first looked at; later looks come more slowly.
        picture: how images become pictures.
    """

    version: str | None = None
    prompt: str = PROMPT
    image: str = "image"
    question: str = "prompt"
    inputs: Mapping[str, str] = field(default_factory=dict)
    poll_seconds: float = 0.5
    picture: Picture = field(default_factory=Picture)


def connect(endpoint: Endpoint, options: ReplicateOptions, send: Send) -> TemplateProtocol:
    """The protocol for a model; nothing is asked.

    Raises:
        SpecError: the URL is none of predictions, or the labels are missing.
    """
    if not endpoint.url.endswith("/predictions"):
        raise SpecError(
            f"the URL should end in /v1/models/OWNER/NAME/predictions or /v1/predictions, got {endpoint.url}"
        )
    spoken = SpokenLabels(labels=speakable(endpoint), name=endpoint.name)
    values: dict[str, object] = {name: _value(text) for name, text in options.inputs.items()}
    values |= {options.question: spoken.asked(options.prompt), options.image: placeholder(options.picture, "data-url")}
    version = {} if options.version is None else {"version": options.version}
    return template_of(
        endpoint,
        send,
        body={**version, "input": values},
        tensor=TensorOptions(channels=options.picture.channels),
        response=ResponseOptions(free_text=True, labels="join('', [output][])", identity={"version": "version"}),
        polling=PollingOptions(
            url="{urls.get}",
            done="status == 'succeeded'",
            failed="contains(['failed', 'canceled', 'aborted'], status)",
            seconds=options.poll_seconds,
        ),
    )


def _value(text: str) -> object:
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return found


DESCRIPTOR = ProtocolDescriptor(
    name="replicate",
    usage="replicate+https://api.replicate.com/v1/models/OWNER/NAME/predictions?labels=A,B,...",
    summary="a vision-language model on Replicate names a label (key: REPLICATE_API_TOKEN)",
    options=ReplicateOptions,
    connect=connect,
    key=Key("REPLICATE_API_TOKEN", "Authorization", "Bearer ", required=False),
)
