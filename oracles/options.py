"""Options as the fields of dataclasses: read from the strings of a name, or from the values of a TOML file."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from enum import StrEnum
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

from oracles.errors import SpecError

Settings = TypeVar("Settings")

TABLE = {"table": True}
"""Metadata of a field whose options stand in a table of a TOML file that is called like the field."""

NONE = "none"
"""Switches off what is on by default."""

_SECRET = re.compile(
    r"key|(?<!max_)token|secret|passw|pwd|credential|auth(?!ors?\b)|signature|session|cookie|^(sig|sas|code|jwt)$",
    re.IGNORECASE,
)


REFERENCE = "docs/oracles.md"
"""Page that explains all options (`oracles.reference`)."""

LARGEST = 2**28
"""Numbers in an image, for which a gigabyte is needed."""


class _WrongEntry(Exception):
    """The name of an entry in a table that is no text. Its value, or that of another one, may be a secret."""


def split_options(name: str, *, what: str) -> tuple[str, dict[str, str]]:
    """The text before the question mark of a name, and the options behind it, as in `?a=1&b=2`.

    Args:
        name: as the user wrote it.
        what: the name stands for, for the error.

    Raises:
        SpecError: they cannot be read; the text shows no value, since one may be a secret.
    """
    address, _, query = name.partition("?")
    try:
        return address, dict(parse_qsl(query, strict_parsing=True, keep_blank_values=True)) if query else {}
    except ValueError:
        names = "&".join(part.partition("=")[0] for part in query.split("&"))
        raise SpecError(f"the options of {what} look like ?a=1&b=2, got ?{names}") from None


def looks_secret(name: str) -> bool:
    """True if a value of this name is likely to be a secret."""
    return _SECRET.search(name) is not None


def refuse_unknown(given: Iterable[str], kinds: Iterable[type], *, place: str) -> None:
    """Refuse options that are fields of none of the dataclasses.

    Args:
        given: names of options.
        kinds: the dataclasses.
        place: where the options stand, for the error.

    Raises:
        SpecError: there is one; the text lists those that there are, and shows no value.
    """
    known = sorted({name for kind in kinds for name in _names(kind)})
    for name in given:
        if name in known:
            continue
        if looks_secret(name):
            raise SpecError(
                f"{place}: {name} looks like a secret, which may only come from the environment: "
                "set the variable, and name it with key_env=NAME"
            )
        close = get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise SpecError(
            f"{place}: there is no option {name!r}; {hint}There are {', '.join(known)}; {REFERENCE} explains them"
        )


def read(kind: type[Settings], given: Mapping[str, object], *, place: str) -> Settings:
    """An instance of a dataclass from those of the given options that are its fields.

    Args:
        kind: the dataclass; the types of its fields say how text is read. The fields of a field that is a dataclass
            itself are options, too; where its metadata say `TABLE`, they stand in a table of their own.
        given: options by name, text or of their own type.
        place: where the options stand, for the error.

    Raises:
        SpecError: a value is not of its field's type, is missing, or the dataclass refuses it.
    """
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]  # `kind` is a dataclass
        hint = _table_of(hints[field.name]) if field.metadata == TABLE else hints[field.name]
        if hint is not hints[field.name] and field.name not in given:
            values[field.name] = None  # a table that may be left out
        elif dataclasses.is_dataclass(hint):
            values[field.name] = _nested(hint, given, field, place)
        elif field.name in given:
            values[field.name] = _converted(hint, given[field.name], f"{place}: {field.name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise SpecError(f"{place}: needs the option {field.name}")
    try:
        return kind(**values)
    except SpecError as error:
        raise SpecError(f"{place}: {error}") from None


def _table_of(hint: Any) -> Any:
    """The dataclass of a table that may be left out."""
    return next(part for part in get_args(hint) if dataclasses.is_dataclass(part)) if get_args(hint) else hint


def _nested(kind: Any, given: Mapping[str, object], field: dataclasses.Field[Any], place: str) -> object:
    if field.metadata != TABLE:
        return read(kind, given, place=place)
    table = given.get(field.name, {})
    place = f"{place}: [{field.name}]"
    if not isinstance(table, dict):
        raise SpecError(f"{place} should be a table, got {table!r}")
    refuse_unknown(table, [kind], place=place)
    return read(kind, table, place=place)


def _names(kind: Any) -> Iterator[str]:
    hints = get_type_hints(kind)
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        flat = dataclasses.is_dataclass(hint) and field.metadata != TABLE
        yield from _names(hint) if flat else [field.name]


def _converted(hint: Any, value: object, place: str) -> object:
    if get_origin(hint) is UnionType:
        if value == NONE:
            return None
        (hint,) = (part for part in get_args(hint) if part is not type(None))
    try:
        if isinstance(hint, type) and issubclass(hint, StrEnum):
            return hint(_text(value))
        return _READERS[hint](value)
    except _WrongEntry as wrong:
        raise SpecError(f"{place}.{wrong} should be text that is not empty, between quotes") from None
    except (ValueError, TypeError, KeyError):
        got = "" if hint == Mapping[str, str] else f", got {value!r}"  # headers may hold a secret
        raise SpecError(f"{place} should be {wanted(hint)}{got}") from None


def wanted(hint: Any) -> str:
    """The form in which a value of a type is written, in words."""
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return f"one of {', '.join(hint)}"
    return _WORDS[hint]


def _whole(value: object) -> int:
    if isinstance(value, str):
        return int(value)
    if type(value) is not int:
        raise TypeError
    return value


def _number(value: object) -> float:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise TypeError
    if not math.isfinite(number := float(value)):
        raise ValueError
    return number


def _truth(value: object) -> bool:
    return value if isinstance(value, bool) else {"true": True, "false": False}[_text(value)]


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError
    return value


def _items(value: object) -> list[object]:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else list(_listed(value))


def _listed(value: object) -> list[object]:
    if not isinstance(value, list | tuple):
        raise TypeError
    return list(value)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(_text, _items(value)))


def _numbers(value: object) -> tuple[float, ...]:
    return tuple(map(_number, _items(value) if isinstance(value, str | list | tuple) else [value]))


def _shape(value: object) -> tuple[int, int, int]:
    parts = value.split("x") if isinstance(value, str) else _listed(value)
    channels, height, width = map(_whole, parts)
    if min(channels, height, width) < 1 or channels * height * width > LARGEST:
        raise ValueError
    return channels, height, width


def _table(value: object) -> dict[str, str]:
    if isinstance(value, dict):
        if wrong := [name for name, text in value.items() if not name or not isinstance(text, str) or not text]:
            raise _WrongEntry(wrong[0])
        return dict(value)
    pairs = [part.split(":") for part in _texts(value)]
    return {_text(name.strip()): _text(text.strip()) for name, text in pairs}


_READERS: dict[Any, Callable[[object], object]] = {
    object: lambda value: value,
    int: _whole,
    float: _number,
    bool: _truth,
    str: _text,
    tuple[str, ...]: _texts,
    tuple[float, ...]: _numbers,
    tuple[int, int, int]: _shape,
    Mapping[str, str]: _table,
}

_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text that is not empty",
    tuple[str, ...]: "words between commas",
    tuple[float, ...]: "numbers between commas",
    tuple[int, int, int]: "like 3x224x224",
    Mapping[str, str]: "like from:to,from:to",
}
