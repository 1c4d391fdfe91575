"""Requests from a template with a placeholder where the image goes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from oracles.errors import SpecError
from oracles.remote.messages import Request
from oracles.remote.protocols.template_body import (
    BareBody,
    Body,
    Encoder,
    MultipartBody,
    TextBody,
    encoder_of,
    json_body,
)
from oracles.remote.secrets import placeholders
from oracles.remote.tensors import TensorOptions

if TYPE_CHECKING:
    from torch import Tensor

_PLACEHOLDER = re.compile(r"\{image:(?P<name>[a-z0-9-]+)(?::(?P<quality>[0-9]{1,4}))?(?:@(?P<scale>[0-9]{1,2}))?\}")
_NAME = re.compile(r'[^"\r\n\x00-\x1f\x7f]+')
_JSON, _TEXT, _FORM = "application/json", "text/plain; charset=utf-8", "application/x-www-form-urlencoded"


class Method(StrEnum):
    """Methods that a question can be asked with."""

    POST = "POST"
    PUT = "PUT"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOptions:
    """The table `[request]`; it needs `body` or `multipart`.

    Attributes:
        body: JSON (as text, or as a table or list of TOML) with one placeholder. `{image:png-base64}`,
            `{image:jpeg-base64:QUALITY}`, `{image:png-data-url}`, `{image:jpeg-data-url:QUALITY}`,
            `{image:tensor-base64}` and `{image:csv}` may stand anywhere in a text; `{image:nested-list}` and
            `{image:flat-list}` are a whole text, and become lists. Or nothing but one of these, or nothing but
            `{image:png}`, `{image:jpeg:QUALITY}` or `{image:tensor}`: the bytes themselves. Or other text, with a
            `content_type` that is not JSON. `${NAME}` and `${file:PATH}` are secrets, as in headers.
        multipart: a form with files: name of each part to its text, of which one holds the placeholder; alone there,
            `{image:png}`, `{image:jpeg:QUALITY}` and `{image:tensor}` are uploaded files.
        many: whether the element of the innermost list around the placeholder is repeated for each image of a batch; in
            a form the part, in other text all of it, a line for each image.
        method: POST, or PUT.
        content_type: where it should not follow from the body.
        tensor: how images become numbers.
    """

    body: object = None
    multipart: Mapping[str, str] = field(default_factory=dict)
    many: bool = False
    method: Method = Method.POST
    content_type: str | None = None
    tensor: TensorOptions = field(default_factory=TensorOptions)


@dataclass(frozen=True, slots=True)
class Template:
    """Makes requests.

    Attributes:
        method: of them.
        body: with a place for images.
        secrets: marks in the body, in whose place secrets go when a request is sent.
    """

    method: str
    body: Body
    secrets: Mapping[str, str]

    def request(self, url: str, images: Tensor) -> Request:
        """The request about images (B, C, H, W)."""
        body, content_type = self.body.fill(images)
        return Request(self.method, url, {"Content-Type": content_type}, body, secrets=self.secrets)


def compile_template(options: RequestOptions) -> Template:
    """The template of requests.

    Raises:
        SpecError: not exactly one of body and multipart, not exactly one placeholder, one that there is not, or one
            that stands where it cannot.
    """
    if (options.body is None) == (not options.multipart):
        raise SpecError("[request] needs a body, or a form as multipart, and not both")
    if options.content_type is not None and not (options.content_type.isascii() and options.content_type.isprintable()):
        raise SpecError(f"[request] content_type should look like application/json, got {options.content_type!r}")
    given = options.multipart or options.body
    text = given if isinstance(given, str) else json.dumps(given, default=_refuse)
    found = list(_PLACEHOLDER.finditer(text))
    what = "multipart" if options.multipart else "body"
    if len(found) != 1:
        raise SpecError(f"[request] {what} should hold one placeholder like {{image:png-base64}}, got {len(found)}")
    name, quality, scale = found[0].group("name", "quality", "scale")
    encoder = encoder_of(name, quality, scale, options.tensor, shown=found[0].group())
    secrets = {_mark(one): one for one in sorted(placeholders(text))}
    if options.multipart:
        return Template(options.method, _form(options, found[0].group(), encoder, secrets), secrets)
    for mark, secret in secrets.items():
        text = text.replace(secret, mark)
    return Template(options.method, _body(text, options, found[0].group(), encoder), secrets)


def _mark(secret: str) -> str:
    """Stands for a secret until a request is sent; in no body by chance."""
    return f"secret-{hashlib.sha256(secret.encode()).hexdigest()[:32]}"


def _body(text: str, options: RequestOptions, placeholder: str, encoder: Encoder) -> Body:
    """The body of a text with one placeholder."""
    kind, alone = options.content_type, text == placeholder
    if encoder.media_type:
        if not alone or options.many:
            raise SpecError(f"[request] body should be {placeholder} and nothing else, for one image at a time")
        return BareBody(encoder, kind or encoder.media_type)
    if not encoder.whole and (alone or (kind is not None and "json" not in kind)):
        quoted = kind is not None and _FORM in kind and not alone
        return TextBody(text, placeholder, encoder, kind or _TEXT, quoted)
    tree = text if alone else _tree(text)
    return json_body(tree, placeholder, encoder, kind or _JSON, many=options.many)


def _form(options: RequestOptions, placeholder: str, encoder: Encoder, secrets: Mapping[str, str]) -> MultipartBody:
    parts = []
    for name, text in options.multipart.items():
        if not _NAME.fullmatch(name) or placeholder in name:
            raise SpecError(f"[request] multipart: {name!r} cannot be the name of a part")
        for mark, secret in secrets.items():
            text = text.replace(secret, mark)  # without secrets
        parts.append((name, text))
        if placeholder in text and text != placeholder and (encoder.media_type or encoder.whole):
            raise SpecError(f"[request] multipart: {placeholder} should be all of a part")
    if options.content_type is not None:
        raise SpecError("[request] content_type follows from multipart: leave it out")
    return MultipartBody(tuple(parts), placeholder, encoder)


def _tree(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except SpecError:
        raise
    except (ValueError, RecursionError) as error:
        raise SpecError(f"[request] body is not JSON: {error}; where it is other text, say its content_type") from None


def _refuse(value: object) -> object:
    raise SpecError(f"[request] body: JSON cannot hold {value!r}")
