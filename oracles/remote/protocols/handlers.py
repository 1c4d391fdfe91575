"""Servers whose model's own code decides what a body and a reply hold: options say it, a template does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from oracles.errors import SpecError
from oracles.oracle import Feedback
from oracles.remote.descriptor import Endpoint
from oracles.remote.image_encoding import Picture, PictureFormat
from oracles.remote.protocols.template import TemplateOptions, TemplateProtocol
from oracles.remote.protocols.template import connect as connect_template
from oracles.remote.protocols.template_request import RequestOptions
from oracles.remote.protocols.template_response import ResponseOptions
from oracles.remote.tensors import TensorOptions
from oracles.remote.wire_protocol import Send


class HandlerContent(StrEnum):
    """Content of a request: numbers as lists in JSON, or as CSV or bytes; a picture alone, uploaded, or in base64."""

    JSON = "json"
    CSV = "csv"
    BYTES = "bytes"
    PICTURE = "picture"
    UPLOAD = "upload"
    BASE64 = "base64"


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerOptions:
    """Options for what the handler expects and returns.

    Attributes:
        content: what a request holds: `json` for lists of numbers, `csv` for lines of them, `bytes` for one image as
            bare numbers; `picture` for one picture file as the body, `upload` for one in a form, `base64` for one in a
            text of JSON.
        key: member of the JSON object, or part of the form, that holds the image; `none` for bare JSON.
        many: whether a JSON request holds a list of images, and its reply one of answers.
        reply_key: member of the reply that holds the answers, `none` for the reply itself.
        feedback: what the answers hold; scores if left out, of which the first reply tells whether they are
            probabilities or logits. `top-k` are objects with `label` and `score`.
        tensor: how images become numbers.
        picture: how they become pictures.
    """

    content: HandlerContent = HandlerContent.JSON
    key: str | None = "instances"
    many: bool = True
    reply_key: str | None = "predictions"
    feedback: Feedback | None = None
    tensor: TensorOptions = field(default_factory=TensorOptions)
    picture: Picture = field(default_factory=Picture)


def placeholder(picture: Picture, form: str = "") -> str:
    """The placeholder of pictures in a template: `""` for files, or `base64` or `data-url`."""
    quality = f":{picture.quality}" if picture.format is PictureFormat.JPEG else ""
    scale = "" if picture.upscale == 1 else f"@{picture.upscale}"
    return f"{{image:{picture.format}{form and '-'}{form}{quality}{scale}}}"


def template_of(
    endpoint: Endpoint,
    send: Send,
    *,
    body: object = None,
    multipart: Mapping[str, str] | None = None,
    many: bool = False,
    content_type: str | None = None,
    tensor: TensorOptions | None = None,
    **parts: Any,
) -> TemplateProtocol:
    """The protocol of a template; `parts` are `response` and `polling`."""
    request = RequestOptions(
        body=body, multipart=multipart or {}, many=many, content_type=content_type, tensor=tensor or TensorOptions()
    )
    return connect_template(endpoint, TemplateOptions(request=request, **parts), send)


def handler_protocol(
    endpoint: Endpoint,
    options: HandlerOptions,
    send: Send,
    identity: Mapping[str, str] | None = None,
    *,
    unpack: str | None = None,
) -> TemplateProtocol:
    """The protocol of a handler; nothing is asked.

    Args:
        endpoint: of the model.
        options: what the handler expects and returns.
        send: not used.
        identity: whatever its replies say of the model, by JMESPath.
        unpack: to a text within the reply that is JSON, by JMESPath.

    Raises:
        SpecError: the options contradict each other, or nobody says how many classes there are.
    """
    content = options.content
    many = options.many and content in (HandlerContent.JSON, HandlerContent.CSV)
    if options.key is None and content is HandlerContent.UPLOAD:
        raise SpecError("content=upload needs the name of the part that holds the picture: say key=NAME")
    tensor = options.tensor
    if content in (HandlerContent.PICTURE, HandlerContent.UPLOAD, HandlerContent.BASE64):
        tensor = replace(tensor, channels=options.picture.channels)
    else:
        options.picture.refuse_numbers()
    response = replace(_response(options, many=many, identity=identity or {}), unpack=unpack)
    if content is HandlerContent.UPLOAD:
        form = {str(options.key): placeholder(options.picture)}
        return template_of(endpoint, send, multipart=form, tensor=tensor, response=response)
    kind = "text/csv" if content is HandlerContent.CSV else None
    return template_of(
        endpoint, send, body=_body(options, many=many), many=many, content_type=kind, tensor=tensor, response=response
    )


def _body(options: HandlerOptions, *, many: bool) -> object:
    bare = {
        HandlerContent.CSV: "{image:csv}",
        HandlerContent.BYTES: "{image:tensor}",
        HandlerContent.PICTURE: placeholder(options.picture),
    }
    if options.content in bare:
        return bare[options.content]
    inner = "{image:nested-list}" if options.content is HandlerContent.JSON else placeholder(options.picture, "base64")
    value: object = [inner] if many else inner
    return value if options.key is None else {options.key: value}


def _response(options: HandlerOptions, *, many: bool, identity: Mapping[str, str]) -> ResponseOptions:
    """Where the answers are: one an image, or alone, in lists of one or not."""
    found = "@" if options.reply_key is None else f'"{options.reply_key}"'
    answers, one = (found, "@") if many else (None, found)
    if options.feedback is Feedback.LABELS:
        return ResponseOptions(answers=answers, labels=f"[{one}][] | [0]", identity=identity)
    if options.feedback is Feedback.TOP_K:
        return ResponseOptions(answers=answers, entries=f"{one}[]", labels="label", scores="score", identity=identity)
    return ResponseOptions(
        answers=answers,
        scores=f"{one}[]",
        logits=None if options.feedback is None else options.feedback is Feedback.LOGITS,
        identity=identity,
    )
