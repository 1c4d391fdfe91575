"""From the body of an inference request to images: JSON, or JSON with binary tensors behind it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bbsmooth.serving.model import DATATYPES, INPUT, ServedModel
from bbsmooth.serving.refusal import malformed
from oracles import ShapeError

HEADER_LENGTH = "inference-header-content-length"
"""The HTTP header that says how many bytes of a body are JSON; tensors follow them."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a client asks.

    Attributes:
        images: (B, C, H, W) uint8 or float32.
        request_id: to be repeated in the reply, None where there is none.
        binary: whether the reply's tensor is to follow as bytes.
    """

    images: Tensor
    request_id: str | None
    binary: bool


def read_question(body: bytes, header_length: str | None, model: ServedModel) -> Question:
    """The question in a body.

    Args:
        body: of the request.
        header_length: value of the header `HEADER_LENGTH`, None where it is missing.
        model: says which images are taken.

    Raises:
        Refusal: it is not a question to this model (status 400).
    """
    head, rest = _divided(body, header_length)
    envelope = _object(_parsed(head), "the request")
    images = _images(envelope, rest, model)
    request_id = envelope.get("id")
    if not isinstance(request_id, str | None):
        raise malformed(f"id should be a string, got {request_id!r}")
    return Question(images, request_id, _wants_binary(envelope, model))


def _divided(body: bytes, header_length: str | None) -> tuple[bytes, bytes]:
    """JSON, and what follows it."""
    if header_length is None:
        return body, b""
    if not header_length.isdecimal() or int(header_length) > len(body):
        raise malformed(f"{HEADER_LENGTH} should be a number up to the body's {len(body)} bytes, got {header_length}")
    return body[: int(header_length)], body[int(header_length) :]


def _parsed(head: bytes) -> Any:
    try:
        return json.loads(head, parse_constant=_not_json)
    except (ValueError, RecursionError) as error:
        raise malformed(f"the request is not JSON: {error}") from None


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _images(envelope: dict[str, Any], rest: bytes, model: ServedModel) -> Tensor:
    """(B, C, H, W) uint8 or float32: halves are exact as float32."""
    inputs = envelope.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1:
        raise malformed(f"{model.name} takes one input tensor, named {INPUT!r}, in a list called inputs")
    tensor = _object(inputs[0], "the input")
    if tensor.get("name") != INPUT:
        raise malformed(f"the input should be named {INPUT!r}, got {tensor.get('name')!r}")
    dtype = DATATYPES.get(str(tensor.get("datatype")))
    if dtype is None:
        raise malformed(f"datatype should be one of {', '.join(DATATYPES)}, got {tensor.get('datatype')!r}")
    shape = _shape(tensor.get("shape"))
    values = _values(tensor, rest, dtype)
    if values.size != math.prod(shape):
        raise malformed(f"shape {shape} needs {math.prod(shape)} values, got {values.size}")
    if not np.isfinite(values).all():
        raise malformed(f"every pixel should be a finite {tensor['datatype']} number")
    images = torch.from_numpy(values.reshape(shape).astype(np.uint8 if dtype.kind == "u" else np.float32))
    if len(images) > model.max_batch:
        raise malformed(f"{model.name} takes at most {model.max_batch} images a request, got {len(images)}")
    try:
        model.spec.check(images)
    except ShapeError as error:
        raise malformed(str(error)) from None
    return images


def _shape(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, list) or not all(type(size) is int and size > 0 for size in shape):
        raise malformed(f"shape should be a list of positive whole numbers, got {shape!r}")
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
        raise malformed(f"binary_data_size is {size!r}, but {len(rest)} bytes follow, {dtype.itemsize} a value")
    return np.frombuffer(rest, dtype)


def _from_json(data: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    try:
        values = np.asarray(data)
    except (ValueError, OverflowError):
        raise malformed("data should be numbers, flat or nested as the shape says") from None
    whole = dtype.kind == "u"
    if values.dtype.kind not in ("iu" if whole else "iuf") or not isinstance(data, list):
        raise malformed(f"data should be a list of {'whole ' if whole else ''}numbers")
    if whole and values.size and not 0 <= values.min() <= values.max() <= 255:
        raise malformed("UINT8 values should lie between 0 and 255")
    with np.errstate(over="ignore"):  # what becomes infinite is refused afterwards
        return values.astype(dtype)


def _wants_binary(envelope: dict[str, Any], model: ServedModel) -> bool:
    wanted = _parameters(envelope).get("binary_data_output", False)
    outputs = envelope.get("outputs") or []
    if not isinstance(outputs, list) or len(outputs) > 1:
        raise malformed(f"{model.name} has one output tensor, named {model.output!r}")
    for output in outputs:
        if _object(output, "the output").get("name") != model.output:
            raise malformed(f"the output is named {model.output!r}, got {output.get('name')!r}")
        wanted = _parameters(output).get("binary_data", wanted)
    if not isinstance(wanted, bool):
        raise malformed(f"binary_data should be true or false, got {wanted!r}")
    return wanted


def _parameters(holder: dict[str, Any]) -> dict[str, Any]:
    return _object(holder.get("parameters") or {}, "parameters")


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise malformed(f"{what} should be a JSON object")
    return value
