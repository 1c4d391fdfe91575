"""Input tensors of a request of the Open Inference Protocol: images as numbers or as files, and constants."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import prod
from typing import TYPE_CHECKING, Any, Protocol

from oracles.errors import AnswerError, ShapeError, SpecError
from oracles.remote.image_encoding import Picture, base64_text
from oracles.remote.json_text import brief, flatten
from oracles.remote.protocols.kserve_metadata import ANY, Described, Geometry, fits
from oracles.remote.protocols.kserve_outputs import FLOATS, INTEGERS, TEXT
from oracles.remote.tensors import TensorForm, flat_json

if TYPE_CHECKING:
    from torch import Tensor

OMITTED = "none"
"""Stands as the constant of an input that is not sent."""


class Content(StrEnum):
    """Form of an image in an input tensor: numbers, the bytes of a picture file, or such a file in base64."""

    TENSOR = "tensor"
    PICTURE = "picture"
    BASE64 = "base64"


@dataclass(frozen=True, slots=True)
class InputTensor:
    """An input tensor of one request.

    Attributes:
        name: of the input.
        datatype: by the protocol's names.
        shape: length of each axis.
        raw: its elements as bytes, each text behind its length; of large tensors their own memory, to be copied once.
        text: writes its elements as a JSON list.
        parameters: that go with it.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    raw: bytes | memoryview
    text: Callable[[], str]
    parameters: Mapping[str, Any] = field(default_factory=dict)


class ImageInput(Protocol):
    """Makes the input tensor of images."""

    @property
    def form(self) -> TensorForm | Picture:
        """How an image becomes numbers or a file."""
        ...

    @property
    def datatype(self) -> str:
        """Of the tensor, by the protocol's names."""
        ...

    def tensor(self, images: Tensor) -> InputTensor:
        """The tensor of images (B, C, H, W), uint8 or floats in [0, 1]."""
        ...


@dataclass(frozen=True, slots=True)
class NumbersInput:
    """Images as numbers.

    Args:
        name: of the input.
        form: how images become numbers.
        geometry: of the input.
    """

    name: str
    form: TensorForm
    geometry: Geometry

    @property
    def datatype(self) -> str:
        """As the form says."""
        return self.form.datatype

    def tensor(self, images: Tensor) -> InputTensor:
        """The tensor.

        Raises:
            ShapeError: the model takes other images.
        """
        channels, height, width = images.shape[1:]
        shape = (channels, height, width)
        axes = self.geometry.axes
        if ANY in axes and not fits(axes, self.form.layout, shape, self.form.channels):
            raise ShapeError(
                f"images of shape {shape} do not fit the model's input {brief(axes)} as {self.form.layout}; "
                "resize them, or correct layout or channels"
            )
        array = self.form.array(images)
        sent = array.shape if self.geometry.batched else array.shape[1:]
        return InputTensor(self.name, self.form.datatype, sent, self.form.memory(array), lambda: flat_json(array))


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesInput:
    """Images as picture files.

    Args:
        name: of the input.
        form: how images become files.
        encoded: whether files are sent in base64.
        datatype: BYTES for an element a file, UINT8 for an element a byte.
        axes: of the tensor behind the one for images: (), or (1,) with BYTES; with UINT8 that of the bytes is left out.
        batched: whether there is an axis for the images of a batch.
        parameters: of the tensor.
    """

    name: str
    form: Picture
    encoded: bool
    datatype: str = TEXT
    axes: tuple[int, ...] = ()
    batched: bool = True
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def tensor(self, images: Tensor) -> InputTensor:
        """The tensor."""
        files = self.form.files(images)
        if self.datatype != TEXT:
            (file,) = files
            sent: tuple[int, ...] = (1, len(file)) if self.batched else (len(file),)
            return InputTensor(self.name, self.datatype, sent, file, lambda: json.dumps(list(file)), self.parameters)
        texts = [base64_text(file).encode() for file in files] if self.encoded else files
        shape = (len(files), *self.axes) if self.batched else (1,)

        def text() -> str:
            return json.dumps([text.decode() for text in texts])

        return InputTensor(self.name, TEXT, shape, _lengthy(texts), text, self.parameters)


@dataclass(frozen=True, slots=True)
class Constant:
    """An input that gets the same value with each image.

    Args:
        name: of the input.
        datatype: by the protocol's names.
        axes: of the value, for one image.
        values: its elements.
        batched: whether it is repeated for each image.
    """

    name: str
    datatype: str
    axes: tuple[int, ...]
    values: tuple[Any, ...]
    batched: bool

    def tensor(self, images: int) -> InputTensor:
        """The tensor beside `images` images."""
        values = list(self.values) * (images if self.batched else 1)
        shape = (images, *self.axes) if self.batched else self.axes
        return InputTensor(self.name, self.datatype, shape, _packed(values, self.datatype), lambda: json.dumps(values))

    @property
    def identity(self) -> list[object]:
        """All that answers depend on."""
        return [self.datatype, list(self.axes), list(self.values)]


def file_input(
    name: str, source: Described | None, picture: Picture, *, encoded: bool, codec: str | None
) -> FilesInput:
    """The input of pictures that the metadata describe.

    Args:
        name: of the input.
        source: what the server says of it.
        picture: how images become files.
        encoded: whether they are sent in base64.
        codec: MLServer's name for how the input is read.

    Raises:
        SpecError: no files lie in a tensor of this shape or type.
    """
    parameters = {} if codec is None else {"content_type": codec}
    datatype = source.datatype if source else TEXT
    shape = source.shape if source else (ANY,)
    fixed = [length for length in shape[1:] if length not in (ANY, 1)]
    if datatype not in (TEXT, "UINT8") or len(shape) > 2 or fixed or (shape[:1] != (ANY,) and shape[:1] != (1,)):
        raise SpecError(
            f"the model's input {brief(name)} takes {brief(datatype)} of shape {brief(shape)}, in which picture files "
            "do not go; say content=tensor, or choose another with input=NAME"
        )
    if datatype == TEXT:
        return FilesInput(
            name=name,
            form=picture,
            encoded=encoded,
            axes=(1,) * (len(shape) - 1),
            batched=shape != (1,),
            parameters=parameters,
        )
    if encoded:
        raise SpecError(f"the model's input {brief(name)} takes bytes as UINT8: say content=picture")
    return FilesInput(
        name=name, form=picture, encoded=False, datatype=datatype, batched=len(shape) == 2, parameters=parameters
    )


def constant(name: str, text: str, source: Described | None, *, images: Described | None, batched: bool) -> Constant:
    """The input that a user gives a value.

    Args:
        name: of the input.
        text: the value, in JSON; what is none is text itself.
        source: what the server says of the input.
        images: what it says of that of the images.
        batched: whether a request holds several images.

    Raises:
        SpecError: the value does not fit the input.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    if source is not None and source.datatype == TEXT and not isinstance(value, list):
        value = text
    try:
        values, nesting = flatten(value) if isinstance(value, list) else ([value], ())
        datatype = source.datatype if source else _datatype(values)
        _packed(values, datatype)
    except (AnswerError, KeyError, ValueError, TypeError, OverflowError, AttributeError):
        wanted = f"{source.datatype} {brief(source.shape)}" if source else "numbers, texts or truth values"
        raise SpecError(f"constants: input {name!r} takes {wanted}, got {text}") from None
    shape = source.shape if source else (ANY,) if batched else ()
    repeated = batched and shape[:1] in ((ANY,), images.shape[:1] if images else (ANY,))
    axes = shape[1:] if repeated else shape
    if isinstance(value, list):
        fine = len(nesting) == len(axes) and all(a in (ANY, b) for a, b in zip(axes, nesting, strict=True))
        axes = nesting if source is None else axes
        if source is not None and not fine:
            raise SpecError(f"constants: input {name!r} takes the shape {brief(axes)} for each image, got {text}")
        return Constant(name, datatype, nesting, tuple(values), repeated)
    axes = tuple(max(1, length) for length in axes)
    return Constant(name, datatype, axes, tuple(values * prod(axes)), repeated)


def _datatype(values: list[Any]) -> str:
    """The type of constants that no server describes."""
    (found,) = {type(value) for value in values}  # ValueError where they are mixed
    return {bool: "BOOL", int: "INT64", float: "FP32", str: TEXT}[found]


def _packed(values: list[Any], datatype: str) -> bytes:
    """Elements as bytes.

    Raises:
        KeyError: there is no such datatype.
        TypeError: an element is of another one.
        ValueError: likewise.
        OverflowError: it is too large.
    """
    import numpy as np

    if datatype == TEXT:
        return _lengthy([value.encode() for value in values])
    if datatype == "BOOL":
        if not all(isinstance(value, bool) for value in values):
            raise TypeError
        return bytes(values)
    if any(isinstance(value, bool | str) for value in values):
        raise TypeError
    if datatype == "BF16":
        return (np.array(values, "<f4").view("<u4") >> 16).astype("<u2").tobytes()
    if datatype in INTEGERS and any(value != int(value) for value in values):
        raise ValueError
    return np.array(values, {**FLOATS, **INTEGERS}[datatype]).tobytes()


def _lengthy(texts: list[bytes]) -> bytes:
    """Texts, each behind its length in four bytes."""
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)
