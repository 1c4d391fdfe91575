"""The output tensors in a reply of the Open Inference Protocol, as JSON or as bytes behind it."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from oracles.errors import AnswerError
from oracles.remote.json_text import brief, flatten, kind, load_object, member, numbers
from oracles.remote.messages import Reply
from oracles.remote.protocols.kserve_metadata import lengths

HEADER_LENGTH = "Inference-Header-Content-Length"
"""Header that says how many bytes of a body are JSON; tensors follow."""

FLOATS = {"FP16": "<f2", "BF16": "<u2", "FP32": "<f4", "FP64": "<f8"}
"""Types of scores; NumPy knows no BF16, which is the upper half of a 32-bit float."""

INTEGERS = {f"{sign}INT{bits}": f"<{sign.lower() or 'i'}{bits // 8}" for sign in ("", "U") for bits in (8, 16, 32, 64)}
TEXT = "BYTES"

_LARGEST = 2**64


@dataclass(frozen=True, slots=True)
class Output:
    """A tensor of answers.

    Attributes:
        datatype: by the protocol's names.
        shape: length of each axis.
        values: its elements, the last axis fastest: floats, integers or texts, as the datatype says; floats that came
            as bytes in an array.
    """

    datatype: str
    shape: tuple[int, ...]
    values: Any


def split(reply: Reply) -> tuple[dict[str, Any], bytes]:
    """The JSON object of a reply and the bytes behind it.

    Raises:
        AnswerError: it has no such form.
    """
    stated = reply.headers.get(HEADER_LENGTH.lower())
    if stated is None:
        end = len(reply.body)
    elif stated.isascii() and stated.isdecimal() and len(stated) < 10 and int(stated) <= len(reply.body):
        end = int(stated)
    else:
        raise AnswerError(f"{HEADER_LENGTH} is {brief(stated)} in a reply of {len(reply.body)} bytes")
    return load_object(reply.body[:end]), reply.body[end:]


def read_output(tree: dict[str, Any], rest: bytes, name: str | None) -> Output:
    """One output tensor.

    Args:
        tree: the JSON object of the reply.
        rest: the bytes behind it.
        name: of the output; None takes the only one.

    Raises:
        AnswerError: there is not exactly one such tensor, or its elements do not fit its shape and type.
    """
    outputs = member(tree, "outputs", list)
    names = [member(output, "name", str) for output in outputs]
    if len(set(names)) != len(names):
        raise AnswerError(f"the reply holds an output twice: {brief(names)}")
    if name is None and len(names) != 1:
        raise AnswerError(f"the reply holds {len(names)} outputs, choose with output=NAME: {brief(names)}")
    if name is not None and name not in names:
        raise AnswerError(f"the reply has no output {name!r}; it has {brief(names)}")
    parts = _binary_parts(outputs, rest)
    place = 0 if name is None else names.index(name)
    return _read(outputs[place], parts[place])


def _binary_parts(outputs: list[Any], rest: bytes) -> list[bytes | None]:
    """The bytes of each output, None for those in JSON."""
    parts: list[bytes | None] = []
    start = 0
    for output in outputs:
        parameters = output.get("parameters")
        size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
        if size is None:
            parts.append(None)
            continue
        if type(size) is not int or not 0 <= size <= len(rest) - start:
            raise AnswerError(f"binary_data_size is {kind(size)} where {len(rest) - start} bytes are left")
        parts.append(rest[start : start + size])
        start += size
    if start != len(rest):
        raise AnswerError(f"the reply ends in {len(rest) - start} bytes that belong to no output")
    return parts


def _read(output: dict[str, Any], raw: bytes | None) -> Output:
    datatype, shape = member(output, "datatype", str), lengths(output, least=0)
    if datatype not in {TEXT, *FLOATS, *INTEGERS}:
        raise AnswerError(f"an output of datatype {brief(datatype)} holds neither scores nor labels")
    values = _from_json(output, datatype, shape) if raw is None else _from_bytes(raw, datatype)
    if len(values) != prod(shape):
        raise AnswerError(f"an output of shape {brief(shape)} has other than {len(values)} elements")
    return Output(datatype, shape, values)


def _from_json(output: dict[str, Any], datatype: str, shape: tuple[int, ...]) -> list[Any]:
    values, nesting = flatten(member(output, "data", list))
    if len(nesting) > 1 and nesting != shape:
        raise AnswerError(f"an output of shape {brief(shape)} came as lists of shape {brief(nesting)}")
    if datatype in FLOATS:
        return numbers(values)
    fits = _is_text if datatype == TEXT else _is_integer
    strange = [value for value in values if not fits(value)]
    if strange:
        raise AnswerError(f"an output of datatype {datatype} holds {kind(strange[0])}")
    return values


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_integer(value: object) -> bool:
    return type(value) is int and abs(value) < _LARGEST


def _from_bytes(raw: bytes, datatype: str) -> Any:
    import numpy as np

    if datatype == TEXT:
        return _texts(raw)
    dtype = np.dtype({**FLOATS, **INTEGERS}[datatype])
    if len(raw) % dtype.itemsize:
        raise AnswerError(f"{len(raw)} bytes are no whole number of elements of datatype {datatype}")
    found = np.frombuffer(raw, dtype)
    if datatype == "BF16":
        found = (found.astype("<u4") << 16).view("<f4")
    return found if datatype in FLOATS else found.tolist()


def _texts(raw: bytes) -> list[str]:
    """Texts, each behind its length in four bytes."""
    texts = []
    start = 0
    while start < len(raw):
        end = start + 4 + int.from_bytes(raw[start : start + 4], "little")
        if end > len(raw):
            raise AnswerError("a text in the reply is longer than the reply")
        try:
            texts.append(raw[start + 4 : end].decode())
        except UnicodeDecodeError:
            raise AnswerError("a text in the reply is not UTF-8") from None
        start = end
    return texts
