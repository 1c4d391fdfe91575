"""Requests from a template: JSON, or nothing but the image, with a placeholder where the image goes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from oracles.errors import SpecError
from oracles.remote.image_encoding import Picture, PictureFormat, base64_text
from oracles.remote.tensors import Datatype, Layout, TensorForm, TensorOptions, flat_json, nested_json

if TYPE_CHECKING:
    from torch import Tensor

_PLACEHOLDER = re.compile(r"\{image:(?P<name>[a-z0-9-]+)(?::(?P<quality>[0-9]{1,4}))?\}")
_EACH = "\0each"
_JSON = "application/json"
_BYTES = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOptions:
    """The table `[request]`.

    Attributes:
        body: JSON (as text, or as a table or list of TOML) with one placeholder. `{image:png-base64}`,
            `{image:jpeg-base64:QUALITY}`, `{image:png-data-url}`, `{image:jpeg-data-url:QUALITY}` and
            `{image:tensor-base64}` may stand anywhere in a text; `{image:nested-list}` and `{image:flat-list}` are a
            whole text, and become lists. Or nothing but `{image:png}`, `{image:jpeg:QUALITY}` or `{image:tensor}`: the
            bytes themselves.
        many: whether the element of the innermost list around the placeholder is repeated for each image of a batch.
        content_type: where it should not follow from the body.
        tensor: how images become numbers.
    """

    body: object
    many: bool = False
    content_type: str | None = None
    tensor: TensorOptions = field(default_factory=TensorOptions)


@dataclass(frozen=True, slots=True)
class Encoder:
    """Replacement of a placeholder.

    Attributes:
        form: how the image becomes numbers or a picture.
        insert: the image (1, C, H, W) as it stands in the body: bytes where it is the body, else JSON text; without
            quotes where it is part of a text.
        whole: whether it is more than a part of a text.
    """

    form: TensorForm | Picture
    insert: Callable[[Tensor], bytes | str]
    whole: bool


@dataclass(frozen=True, slots=True)
class Template:
    """A body with a place for images.

    Attributes:
        outer: the body, with a mark where the elements go.
        element: what is repeated, with the placeholder.
        placeholder: as it stands in the element.
        encoder: what takes its place.
        content_type: of the body.
    """

    outer: str
    element: str
    placeholder: str
    encoder: Encoder
    content_type: str

    def body(self, images: Tensor) -> bytes:
        """The body for images (B, C, H, W)."""
        inserted = [self.encoder.insert(image[None]) for image in images]
        if isinstance(inserted[0], bytes):
            return inserted[0]
        elements = ",".join(self.element.replace(self.placeholder, str(piece)) for piece in inserted)
        return self.outer.replace(json.dumps(_EACH), elements).encode()


def compile_template(options: RequestOptions) -> Template:
    """The template of a request.

    Raises:
        SpecError: not JSON, not exactly one placeholder, one that there is not, or one that stands where it cannot.
    """
    text = options.body if isinstance(options.body, str) else json.dumps(options.body, default=_refuse)
    found = list(_PLACEHOLDER.finditer(text))
    if len(found) != 1:
        raise SpecError(f"[request] body should hold one placeholder like {{image:png-base64}}, got {len(found)}")
    placeholder = found[0].group()
    if options.content_type is not None and not (options.content_type.isascii() and options.content_type.isprintable()):
        raise SpecError(f"[request] content_type should look like application/json, got {options.content_type!r}")
    encoder, kind = _encoder(found[0], options.tensor)
    if kind is not None:
        if text != placeholder or options.many:
            raise SpecError(f"[request] body should be {placeholder} and nothing else, for one image at a time")
        return Template("", "", placeholder, encoder, options.content_type or kind)
    tree = _tree(text)
    outer, element = _split(tree, placeholder) if options.many else (_EACH, tree)
    quoted = json.dumps(placeholder)
    element_text = json.dumps(element)
    if encoder.whole and quoted not in element_text:
        raise SpecError(f"[request] body: {placeholder} becomes a list, so it should be a whole text")
    mark = quoted if encoder.whole else placeholder
    return Template(json.dumps(outer), element_text, mark, encoder, options.content_type or _JSON)


def _tree(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except SpecError:
        raise
    except (ValueError, RecursionError) as error:
        raise SpecError(f"[request] body is not JSON: {error}") from None


def _refuse(value: object) -> object:
    raise SpecError(f"[request] body: JSON cannot hold {value!r}")


def _split(tree: Any, placeholder: str) -> tuple[Any, Any]:
    """The tree with a mark in place of the element of the innermost list around the placeholder, and that element.

    Raises:
        SpecError: there is no list around it.
    """
    members = enumerate(tree) if isinstance(tree, list) else tree.items() if isinstance(tree, dict) else ()
    for key, value in members:
        if placeholder not in json.dumps(value):
            continue
        try:
            inner, element = _split(value, placeholder)
        except SpecError:
            if not isinstance(tree, list):
                raise
            inner, element = _EACH, value
        copy = tree.copy()
        copy[key] = inner
        return copy, element
    raise SpecError("[request] many: there is no list around the placeholder whose element could be repeated")


def _encoder(found: re.Match[str], tensor: TensorOptions) -> tuple[Encoder, str | None]:
    """The encoder of a placeholder, and the media type where it is the whole body.

    Raises:
        SpecError: there is none of this name, or a quality where none belongs.
    """
    name, quality = found["name"], found["quality"]
    kind, _, rest = name.partition("-")
    if kind in set(PictureFormat) and rest in ("", "base64", "data-url"):
        return _picture_encoder(Picture(PictureFormat(kind), channels=tensor.channels), quality, rest)
    form = tensor.form(Datatype.FP32, Layout.NCHW)
    tensors: dict[str, Encoder] = {
        "nested-list": Encoder(form, lambda image: nested_json(form.array(image)[0]), True),
        "flat-list": Encoder(form, lambda image: flat_json(form.array(image)), True),
        "tensor-base64": Encoder(form, lambda image: base64_text(form.raw(form.array(image))), False),
        "tensor": Encoder(form, lambda image: form.raw(form.array(image)), True),
    }
    if name not in tensors or quality is not None:
        pictures = ", ".join(f"{one}{end}" for one in PictureFormat for end in ("", "-base64", "-data-url"))
        raise SpecError(f"[request] body: there is no {found.group()}; there are {pictures}, {', '.join(tensors)}")
    return tensors[name], _BYTES if name == "tensor" else None


def _picture_encoder(picture: Picture, quality: str | None, rest: str) -> tuple[Encoder, str | None]:
    if quality is not None:
        if picture.format is PictureFormat.PNG:
            raise SpecError("[request] body: only jpeg has a quality")
        picture = replace(picture, quality=int(quality))

    def file(image: Tensor) -> bytes:
        return picture.files(image)[0]

    if not rest:
        return Encoder(picture, file, True), picture.media_type
    if rest == "base64":
        return Encoder(picture, lambda image: base64_text(file(image)), False), None
    return Encoder(picture, lambda image: picture.data_url(file(image)), False), None
