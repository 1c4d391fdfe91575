"""Formats of replies, read into trees in which expressions can look things up."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from oracles.errors import AnswerError
from oracles.remote.json_text import brief, kind, load

_FENCED = re.compile(r"\A\s*```[a-zA-Z]*\s*\n(?P<inside>.*?)\n?\s*```\s*\Z", re.DOTALL)
"""How language models like to frame JSON."""


class ReplyFormat(StrEnum):
    """Format of a reply."""

    JSON = "json"
    TEXT = "text"
    CSV = "csv"
    EVENTS = "events"


def read_reply(body: bytes, form: ReplyFormat) -> Any:
    """Contents of a reply's body.

    Raises:
        AnswerError: it has another format.
    """
    if form is ReplyFormat.JSON:
        return load(body)
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AnswerError(f"the reply is not text in UTF-8: {error}") from None
    if form is ReplyFormat.TEXT:
        return text.strip()
    if form is ReplyFormat.EVENTS:
        return _last_event(text)
    try:
        return [[cell.strip() for cell in row] for row in csv.reader(text.splitlines(), strict=True) if row]
    except csv.Error as error:
        raise AnswerError(f"the reply is not CSV: {error}") from None


def unpacked(found: Any, path: str) -> Any:
    """Contents of a text that is JSON, in a frame of Markdown or not.

    Raises:
        AnswerError: it is something else.
    """
    if not isinstance(found, str):
        raise AnswerError(f"{path} should lead to a text that is JSON, got {kind(found)}")
    fenced = _FENCED.match(found)
    return load((fenced["inside"] if fenced else found).encode(errors="surrogatepass"))


def number(value: Any) -> Any:
    """The number that a text holds; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        found = float(value)
    except ValueError:
        return value
    return found if math.isfinite(found) else value


def _last_event(text: str) -> Any:
    """The data of the last of the server-sent events that has any (WHATWG HTML, 9.2), as JSON.

    Raises:
        AnswerError: there is none, or an event says that something went wrong.
    """
    last: str | None = None
    for name, data in _events(text):
        if name == "error":
            raise AnswerError(f"the server says that it failed: {brief(data)}")
        if data not in ("", "null", "[DONE]"):
            last = data
    if last is None:
        raise AnswerError("the reply holds no event with data")
    return load(last.encode(errors="surrogatepass"))


def _events(text: str) -> Iterator[tuple[str, str]]:
    """Name and data of each event."""
    name, data = "", list[str]()
    for line in [*re.split(r"\r\n|\n|\r", text), ""]:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif not line and (name or data):
            yield name, "\n".join(data)
            name, data = "", []
