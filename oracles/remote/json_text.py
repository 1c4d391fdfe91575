"""JSON out and in: nothing but standard JSON is accepted, and whatever else arrives is one clear error."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from itertools import chain
from typing import Any, NoReturn

from oracles.errors import AnswerError

_SHOWN = 60
"""Characters of a reply in an error message."""

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
"""Half of a character in JSON; rare, and mostly followed by its other half."""

_DEEPEST = 8
"""Axes of a tensor that is read."""


def dump(tree: object, pieces: Mapping[str, str] | None = None) -> bytes:
    """A tree as JSON; strings of it that stand in `pieces` become the JSON text given there."""
    text = _ENCODER.encode(tree)
    for mark, piece in (pieces or {}).items():
        text = text.replace(json.dumps(mark), piece)
    return text.encode()


def load(body: bytes) -> Any:
    """Value that a reply's body holds.

    Raises:
        AnswerError: it is not JSON; it holds NaN or Infinity, which JSON does not have, half a surrogate pair, which
            no file can hold, or an object with two members of one name, of which readers choose different ones.
    """
    try:
        text = body.decode("utf-8-sig")
        tree = _DECODER.decode(text)
        if _SURROGATE.search(text):
            json.dumps(tree, ensure_ascii=False).encode()
        return tree
    except RecursionError:
        raise AnswerError("the reply is JSON nested too deeply to be an answer") from None
    except ValueError as error:
        start = body[:_SHOWN].decode(errors="replace")
        raise AnswerError(f"the reply is not JSON ({error}); it begins with {start!r}") from None


def load_object(body: bytes) -> dict[str, Any]:
    """The JSON object that a reply's body is.

    Raises:
        AnswerError: it is something else.
    """
    found = load(body)
    if not isinstance(found, dict):
        raise AnswerError(f"the reply should be a JSON object, got {kind(found)}")
    return found


def member(tree: object, name: str, wanted: type) -> Any:
    """A member of an object, which must be of a type.

    Raises:
        AnswerError: no such object or member, or another type.
    """
    found = tree.get(name) if isinstance(tree, dict) else None
    if not isinstance(found, wanted) or isinstance(found, bool):
        raise AnswerError(f"the reply should hold {name!r} as {_KINDS[wanted]}, got {kind(found)}")
    return found


def per_image(found: object, images: int, what: str) -> list[Any]:
    """A list, if it is one and has one element an image.

    Raises:
        AnswerError: it is something else, or has more or fewer.
    """
    if not isinstance(found, list) or len(found) != images:
        raise AnswerError(f"the reply should hold a list of {images} {what}, one an image, got {kind(found)}")
    return found


def flatten(data: list[Any]) -> tuple[list[Any], tuple[int, ...]]:
    """The elements of lists within lists, row by row, and how many there are along each axis.

    Raises:
        AnswerError: rows of different lengths, or too many axes.
    """
    shape = [len(data)]
    while data and isinstance(data[0], list):
        lengths = {len(row) if isinstance(row, list) else -1 for row in data}
        if len(lengths) != 1 or len(shape) == _DEEPEST:
            raise AnswerError("the reply holds a tensor whose rows are not equally long lists")
        shape.append(lengths.pop())
        data = list(chain.from_iterable(data))
    return data, tuple(shape)


def numbers(values: list[Any]) -> list[float]:
    """The values, if all are finite numbers.

    Raises:
        AnswerError: one is null, text, true or false, or too large.
    """
    if not set(map(type, values)) <= {int, float}:
        strange = next(value for value in values if type(value) not in (int, float))
        raise AnswerError(f"the reply should hold numbers, got {kind(strange)}")
    try:
        return [float(value) for value in values]
    except OverflowError:
        raise AnswerError("the reply holds a number too large to be a score") from None


def optional_text(tree: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    """Those members that are there, as text: from the name in `tree` to the name that it gets."""
    found = {new: tree.get(old) for old, new in names.items()}
    return {name: str(value) for name, value in found.items() if isinstance(value, str | int) and value != ""}


def kind(value: object) -> str:
    """Kind of a value, in JSON's words, with short ones spelt out."""
    if value is None:
        return "null or nothing"
    if isinstance(value, dict | list):
        return f"{_KINDS[type(value)]} of {len(value)}"
    return f"{_KINDS[type(value)]} ({brief(value)})"


def brief(value: object) -> str:
    """A value in one short line, for errors."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


_KINDS: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "a truth value",
}


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"an object holds {brief(twice)} twice")
    return members


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")


_ENCODER = json.JSONEncoder(separators=(",", ":"))
_DECODER = json.JSONDecoder(parse_constant=_refuse, object_pairs_hook=_members)
"""Made once: `json.dumps` and `json.loads` with options make one for each call."""
