"""Elements of tensors in messages: as bytes, or in a typed list."""

from __future__ import annotations

from typing import Any

from oracles.errors import AnswerError
from oracles.remote.protocols.kserve_outputs import FLOATS, INTEGERS, TEXT

_FIELDS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    TEXT: "bytes_contents",
}
"""The list that holds the elements of each datatype; 16-bit floats have none."""

LISTED = frozenset(_FIELDS)
"""Datatypes that need not travel as bytes."""


def list_field(datatype: str) -> str:
    """The name of the list for elements of a datatype in `LISTED`."""
    return _FIELDS[datatype]


def raw_of(contents: Any, datatype: str) -> bytes:
    """The elements in the lists of a message, as bytes: little-endian, each text behind its length.

    Raises:
        AnswerError: the datatype has no list, or an element does not fit it.
    """
    import numpy as np

    field = _FIELDS.get(datatype)
    if field is None:
        raise AnswerError(f"a tensor of datatype {datatype!r} came without its bytes")
    values = getattr(contents, field)
    if datatype == TEXT:
        return b"".join(len(text).to_bytes(4, "little") + text for text in values)
    if datatype == "BOOL":
        return bytes(values)
    dtype = np.dtype({**FLOATS, **INTEGERS}[datatype])
    if datatype in INTEGERS and values:
        limits = np.iinfo(dtype)
        if not limits.min <= min(values) <= max(values) <= limits.max:
            raise AnswerError(f"an element of a tensor is too large for {datatype}")
    return np.array(values, dtype=dtype).tobytes()
