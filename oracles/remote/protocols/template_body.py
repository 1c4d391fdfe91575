"""Bodies of requests with a place for images: JSON, nothing but the image, plain text, or a form with files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote_plus

from oracles.errors import SpecError
from oracles.remote.image_encoding import Picture, PictureFormat, base64_text
from oracles.remote.tensors import Datatype, Layout, TensorForm, TensorOptions, flat_json, nested_json

if TYPE_CHECKING:
    from torch import Tensor

BYTES = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Encoder:
    """Replacement of a placeholder.

    Attributes:
        form: how the image becomes numbers or a picture.
        insert: the image (1, C, H, W) as it stands in the body: bytes where it is a file of its own, else text; JSON
            where `whole`.
        whole: whether it is more than a part of a text.
        media_type: of the bytes, empty where it is text.
    """

    form: TensorForm | Picture
    insert: Callable[[Tensor], bytes | str]
    whole: bool = False
    media_type: str = ""


class Body(Protocol):
    """A body with a place for images."""

    @property
    def encoder(self) -> Encoder:
        """What takes the place of the placeholder."""
        ...

    def fill(self, images: Tensor) -> tuple[bytes, str]:
        """The body for images (B, C, H, W), and its content type."""
        ...


@dataclass(frozen=True, slots=True)
class BareBody:
    """Nothing but the image."""

    encoder: Encoder
    content_type: str

    def fill(self, images: Tensor) -> tuple[bytes, str]:
        """The image."""
        inserted = self.encoder.insert(images)
        return inserted if isinstance(inserted, bytes) else inserted.encode(), self.content_type


@dataclass(frozen=True, slots=True)
class TextBody:
    """Text that is no JSON: lines of numbers, or a form.

    Attributes:
        text: with the placeholder.
        placeholder: as it stands there.
        encoder: what takes its place.
        content_type: of the body.
        quoted: whether what is inserted is quoted, as in a form.
    """

    text: str
    placeholder: str
    encoder: Encoder
    content_type: str
    quoted: bool = False

    def fill(self, images: Tensor) -> tuple[bytes, str]:
        """The text, a line for each image where there are several."""
        inserted = [str(self.encoder.insert(image[None])) for image in images]
        pieces = [quote_plus(piece) if self.quoted else piece for piece in inserted]
        return "\n".join(self.text.replace(self.placeholder, piece) for piece in pieces).encode(), self.content_type


@dataclass(frozen=True, slots=True)
class JsonBody:
    """JSON, of which one element is repeated for each image.

    Attributes:
        outer: the body, with `mark` where the elements go.
        element: what is repeated, with the placeholder.
        mark: as JSON.
        placeholder: as it stands in the element.
        encoder: what takes its place.
        content_type: of the body.
    """

    outer: str
    element: str
    mark: str
    placeholder: str
    encoder: Encoder
    content_type: str

    def fill(self, images: Tensor) -> tuple[bytes, str]:
        """The JSON."""
        inserted = [str(self.encoder.insert(image[None])) for image in images]
        elements = ",".join(self.element.replace(self.placeholder, piece) for piece in inserted)
        return self.outer.replace(self.mark, elements).encode(), self.content_type


@dataclass(frozen=True, slots=True)
class MultipartBody:
    """A form with files (RFC 7578); the part with the placeholder is repeated for each image.

    Attributes:
        parts: names and texts.
        placeholder: as it stands in one of them.
        encoder: what takes its place.
    """

    parts: Sequence[tuple[str, str]]
    placeholder: str
    encoder: Encoder

    def fill(self, images: Tensor) -> tuple[bytes, str]:
        """The form. Its boundary follows from what is in it, so that equal images give equal requests."""
        pieces: list[bytes] = []
        for name, text in self.parts:
            repeated = images if self.placeholder in text else images[:1]
            pieces += [self._part(name, text, image[None]) for image in repeated]
        boundary = f"bbsmooth-{hashlib.sha256(b''.join(pieces)).hexdigest()[:32]}"
        limit = f"--{boundary}\r\n".encode()
        body = b"".join(limit + piece + b"\r\n" for piece in pieces) + f"--{boundary}--\r\n".encode()
        return body, f"multipart/form-data; boundary={boundary}"

    def _part(self, name: str, text: str, image: Tensor) -> bytes:
        head = f'Content-Disposition: form-data; name="{name}"'
        if self.placeholder not in text:
            return f"{head}\r\n\r\n{text}".encode()
        inserted = self.encoder.insert(image)
        if isinstance(inserted, bytes):
            kind = self.encoder.media_type
            head += f'; filename="image.{kind.rpartition("/")[2]}"\r\nContent-Type: {kind}'
            return f"{head}\r\n\r\n".encode() + inserted
        return f"{head}\r\n\r\n{text.replace(self.placeholder, inserted)}".encode()


def encoder_of(name: str, quality: str | None, scale: str | None, tensor: TensorOptions, *, shown: str) -> Encoder:
    """The encoder of a placeholder.

    Args:
        name: between `{image:` and the quality.
        quality: of JPEG, as text; None where there is none.
        scale: how many pixels of a picture, in either direction, show one of the image, as text; None for 1.
        tensor: how images become numbers.
        shown: the whole placeholder, for errors.

    Raises:
        SpecError: there is none of this name, or a quality or a scale where none belongs.
    """
    kind, _, rest = name.partition("-")
    if kind in set(PictureFormat) and rest in ("", "base64", "data-url"):
        picture = Picture(PictureFormat(kind), channels=tensor.channels, upscale=int(scale or 1))
        return _picture_encoder(picture, quality, rest)
    form = tensor.form(Datatype.FP32, Layout.NCHW)
    tensors: dict[str, Encoder] = {
        "nested-list": Encoder(form, lambda image: nested_json(form.array(image)[0]), whole=True),
        "flat-list": Encoder(form, lambda image: flat_json(form.array(image)), whole=True),
        "csv": Encoder(form, lambda image: flat_json(form.array(image))[1:-1]),
        "tensor-base64": Encoder(form, lambda image: base64_text(form.raw(form.array(image)))),
        "tensor": Encoder(form, lambda image: form.raw(form.array(image)), media_type=BYTES),
    }
    if name not in tensors or quality is not None or scale is not None:
        pictures = ", ".join(f"{one}{end}" for one in PictureFormat for end in ("", "-base64", "-data-url"))
        raise SpecError(f"[request] body: there is no {shown}; there are {pictures}, {', '.join(tensors)}")
    return tensors[name]


def _picture_encoder(picture: Picture, quality: str | None, rest: str) -> Encoder:
    if quality is not None:
        if picture.format is PictureFormat.PNG:
            raise SpecError("[request] body: only jpeg has a quality")
        picture = replace(picture, quality=int(quality))

    def file(image: Tensor) -> bytes:
        return picture.files(image)[0]

    if not rest:
        return Encoder(picture, file, media_type=picture.media_type)
    if rest == "base64":
        return Encoder(picture, lambda image: base64_text(file(image)))
    return Encoder(picture, lambda image: picture.data_url(file(image)))


def json_body(
    tree: Any, placeholder: str, encoder: Encoder, content_type: str, *, many: bool, each: str = "\0each"
) -> JsonBody:
    """A body of JSON.

    Args:
        tree: with the placeholder in a text.
        placeholder: as it stands there.
        encoder: what takes its place.
        content_type: of the body.
        many: whether the element of the innermost list around it is repeated for each image.
        each: stands for the elements.

    Raises:
        SpecError: the placeholder stands where it cannot.
    """
    outer, element = _split(tree, placeholder, each) if many else (each, tree)
    quoted, text = json.dumps(placeholder), json.dumps(element)
    if encoder.whole and quoted not in text:
        raise SpecError(f"[request] body: {placeholder} becomes a list, so it should be a whole text")
    mark = quoted if encoder.whole else placeholder
    return JsonBody(json.dumps(outer), text, json.dumps(each), mark, encoder, content_type)


def _split(tree: Any, placeholder: str, each: str) -> tuple[Any, Any]:
    """The tree with a mark instead of the element of the innermost list around the placeholder, and that element.

    Raises:
        SpecError: there is no list around it.
    """
    members = enumerate(tree) if isinstance(tree, list) else tree.items() if isinstance(tree, dict) else ()
    for key, value in members:
        if placeholder not in json.dumps(value):
            continue
        try:
            inner, element = _split(value, placeholder, each)
        except SpecError:
            if not isinstance(tree, list):
                raise
            inner, element = each, value
        copy = tree.copy()
        copy[key] = inner
        return copy, element
    raise SpecError("[request] many: there is no list around the placeholder whose element could be repeated")
