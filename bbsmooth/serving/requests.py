"""From the body of an inference request to images: JSON, or JSON with binary tensors behind it."""

from __future__ import annotations

import json
import math
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, NoReturn, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bbsmooth.serving.model import DATATYPES, INPUT
from bbsmooth.serving.refusal import malformed
from oracles import OracleSpec, ShapeError

HEADER_LENGTH = "inference-header-content-length"
"""The HTTP header that says how many bytes of a body are JSON; tensors follow them."""


_AXES = 4
_LARGEST = 2**31  # of an axis: products of these can still be written down in a reply
_LENGTH = re.compile("[0-9]{1,15}")
_OTHER_LISTS = 10_000  # and objects, besides those of nested pixels
_BRIGHTEST = 8.0  # mean of images under any sensible noise, white being 1
_LONGEST_ID = 1024  # characters, since a reply repeats it
_REPR = reprlib.Repr()
_REPR.maxstring, _REPR.maxlist = 80, 2 * _AXES
_shown = _REPR.repr


class ModelSchema(Protocol):
    """Properties of a model that a request has to fit."""

    @property
    def name(self) -> str:
        """Of the model."""
        ...

    @property
    def input_spec(self) -> OracleSpec:
        """Specification that images have to fit."""
        ...

    @property
    def max_batch(self) -> int:
        """Most images in one request."""
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the output tensors."""
        ...


@dataclass(frozen=True, slots=True)
class InferenceRequest:
    """A checked inference request.

    Attributes:
        images: (B, C, H, W) uint8 or float32.
        request_id: to be repeated in the reply, None where there is none.
        wanted: names of the output tensors to send, and whether each is to follow as bytes.
    """

    images: Tensor
    request_id: str | None
    wanted: Mapping[str, bool]


def read_request(body: bytes, header_length: str | None, model: ModelSchema) -> InferenceRequest:
    """The question in a body.

    Args:
        body: of the request.
        header_length: value of the header `HEADER_LENGTH`, None where it is missing.
        model: says which images are taken.

    Raises:
        Refusal: it is not a question to this model (status 400).
    """
    head, rest = _divided(body, header_length)
    _limit_nesting(head, model)
    envelope = _object(_parsed(head), "the request")
    images = _images(envelope, rest, model)
    request_id = envelope.get("id")
    if not isinstance(request_id, str | None) or len(request_id or "") > _LONGEST_ID:
        raise malformed(f"id should be a string of at most {_LONGEST_ID} characters, got {_shown(request_id)}")
    return InferenceRequest(images, request_id, _wanted(envelope, model))


def _divided(body: bytes, header_length: str | None) -> tuple[bytes, bytes]:
    """JSON, and what follows it."""
    if header_length is None:
        return body, b""
    if not _LENGTH.fullmatch(header_length) or int(header_length) > len(body):
        raise malformed(f"{HEADER_LENGTH} should be a number up to the body's {len(body)} bytes, got {header_length}")
    return body[: int(header_length)], body[int(header_length) :]


def _limit_nesting(head: bytes, model: ModelSchema) -> None:
    """Millions of lists in a few megabytes would keep the whole process busy for many seconds."""
    if model.input_spec.image_shape is None:
        return
    channels, height, _ = model.input_spec.image_shape
    most = model.max_batch * (1 + channels * (1 + height)) + _OTHER_LISTS
    found = head.count(b"[") + head.count(b"{")
    if found > most:
        raise malformed(
            f"{model.name} takes at most {model.max_batch} images a request, for which {most} lists and objects are "
            f"enough, got {found}"
        )


def _parsed(head: bytes) -> Any:
    try:
        return json.loads(head, parse_constant=_not_json)
    except (ValueError, RecursionError) as error:
        raise malformed(f"the request is not JSON: {error}") from None


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _images(envelope: dict[str, Any], rest: bytes, model: ModelSchema) -> Tensor:
    """(B, C, H, W) uint8 or float32: halves are exact as float32."""
    inputs = envelope.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1:
        raise malformed(f"{model.name} takes one input tensor, named {INPUT!r}, in a list called inputs")
    tensor = _object(inputs[0], "the input")
    if tensor.get("name") != INPUT:
        raise malformed(f"the input should be named {INPUT!r}, got {_shown(tensor.get('name'))}")
    dtype = DATATYPES.get(str(tensor.get("datatype")))
    if dtype is None:
        raise malformed(f"datatype should be one of {', '.join(DATATYPES)}, got {_shown(tensor.get('datatype'))}")
    shape = _shape(tensor.get("shape"))
    values = _values(tensor, rest, dtype)
    if values.size != math.prod(shape):
        raise malformed(f"shape {_shown(shape)} needs {_shown(math.prod(shape))} values, got {values.size}")
    if not np.isfinite(values).all():
        raise malformed(f"every pixel should be a finite {tensor['datatype']} number")
    images = torch.from_numpy(values.reshape(shape).astype(np.uint8 if dtype.kind == "u" else np.float32))
    _refuse_grey_levels(images, str(tensor["datatype"]))
    if len(images) > model.max_batch:
        raise malformed(f"{model.name} takes at most {model.max_batch} images a request, got {len(images)}")
    try:
        model.input_spec.check(images)
    except ShapeError as error:
        raise malformed(str(error)) from None
    return images


def _refuse_grey_levels(images: Tensor, datatype: str) -> None:
    """Floats that count grey levels from 0 to 255 would all be clipped to white.

    Floats beyond 0 and 1 are taken otherwise: noise makes such pixels, but neither whole numbers nor so bright a mean.
    """
    if not images.is_floating_point() or float(images.max()) <= 1:
        return
    if bool((images == images.round()).all()) or float(images.mean()) > _BRIGHTEST:
        raise malformed(
            f"white is 1 in {datatype} pixels, and these reach {float(images.max()):g}; divide them by 255, or send "
            "UINT8"
        )


def _shape(shape: Any) -> tuple[int, ...]:
    fits = isinstance(shape, list) and len(shape) <= 2 * _AXES
    if not fits or not all(type(size) is int and 0 < size < _LARGEST for size in shape):
        raise malformed(f"shape should be a list of positive whole numbers below 2**31, got {_shown(shape)}")
    return tuple(shape)


def _values(tensor: dict[str, Any], rest: bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The tensor's values, in whatever shape they were written."""
    size = _parameters(tensor).get("binary_data_size")
    if (size is None) == ("data" not in tensor):
        raise malformed("a tensor needs either data or the parameter binary_data_size")
    if size is None:
        if rest:
            raise malformed(f"{len(rest)} bytes follow the JSON that belong to no tensor")
        return _from_json(tensor["data"], dtype)
    if type(size) is not int or size != len(rest) or size % dtype.itemsize:
        raise malformed(f"binary_data_size is {_shown(size)}, but {len(rest)} bytes follow, {dtype.itemsize} a value")
    return np.frombuffer(rest, dtype)


def _from_json(data: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The values, of which none is given to NumPy before it is known to be a number: texts would fill the memory."""
    whole = dtype.kind == "u"
    if not isinstance(data, list):
        raise malformed("data should be a list of numbers")
    numbers = _flat(data)
    if not set(map(type, numbers)) <= ({int} if whole else {int, float}):
        raise malformed(f"data should be a list of {'whole ' if whole else ''}numbers")
    if whole and numbers and not 0 <= min(numbers) <= max(numbers) <= 255:
        raise malformed("UINT8 values should lie between 0 and 255")
    try:
        with np.errstate(over="ignore"):  # what becomes infinite is refused afterwards
            return np.array(numbers, dtype=np.float64).astype(dtype)
    except OverflowError:
        raise malformed("data should be a list of numbers, and holds one that is too large") from None


def _flat(data: list[Any]) -> list[Any]:
    """The values of a list that is flat, or nested evenly."""
    for _ in range(_AXES):
        kinds = set(map(type, data))
        if list not in kinds:
            return data
        if kinds != {list} or len(set(map(len, data))) != 1:
            break
        data = list(chain.from_iterable(data))
    if list in set(map(type, data)):
        raise malformed("data should be numbers, flat or nested as the shape says")
    return data


def _wanted(envelope: dict[str, Any], model: ModelSchema) -> dict[str, bool]:
    """The output tensors that are asked for, all where none is named, and whether each is to follow as bytes."""
    names = " and ".join(map(repr, model.outputs))
    usual = _flag(_parameters(envelope).get("binary_data_output", False))
    outputs = envelope.get("outputs") or []
    if not isinstance(outputs, list) or len(outputs) > len(model.outputs):
        count = "one output tensor" if len(model.outputs) == 1 else f"{len(model.outputs)} output tensors"
        raise malformed(f"{model.name} has {count}, named {names}")
    wanted = {}
    for output in outputs:
        name = _object(output, "the output").get("name")
        if name not in model.outputs:
            raise malformed(f"the output is named {names}, got {_shown(name)}")
        wanted[name] = _flag(_parameters(output).get("binary_data", usual))
    return wanted or dict.fromkeys(model.outputs, usual)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise malformed(f"binary_data should be true or false, got {_shown(value)}")
    return value


def _parameters(holder: dict[str, Any]) -> dict[str, Any]:
    return _object(holder.get("parameters") or {}, "parameters")


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise malformed(f"{what} should be a JSON object")
    return value
