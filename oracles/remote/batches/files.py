"""Files of questions and answers, as OpenAI has them and Mistral too: JSON, an object a line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from oracles.errors import AnswerError
from oracles.remote.batches.endpoint import End, Item, ask, name_of, refused_words
from oracles.remote.json_text import dump, load_object, member
from oracles.remote.messages import Request
from oracles.remote.wire_protocol import Send

OK = 200


def uploaded(send: Send, root: str, lines: Sequence[bytes], tag: str) -> str:
    """The name of a new file that holds the lines.

    Args:
        send: sends requests.
        root: of the API, as `https://api.openai.com/v1`.
        lines: of the file.
        tag: becomes its name for people.
    """
    content = b"\n".join(lines) + b"\n"
    boundary = hashlib.sha256(content).hexdigest()[:32]
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'.encode(),
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{tag}.jsonl"\r\n'
        "Content-Type: application/jsonl\r\n\r\n".encode(),
        content,
        f"\r\n--{boundary}--\r\n".encode(),
    ]
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return name_of(load_object(ask(send, Request("POST", f"{root}/files", headers, b"".join(parts))).body))


def answers(send: Send, root: str, file: object) -> Iterator[Item]:
    """The items in a file of results or of errors; none where there is no file."""
    if not isinstance(file, str) or not file:
        return
    body = ask(send, Request("GET", f"{root}/files/{file}/content")).body
    yield from items_in(body, _item)


def items_in(body: bytes, item: Callable[[dict[str, Any]], Item]) -> Iterator[Item]:
    """The items in a text that holds an object a line.

    Args:
        body: the text.
        item: from an object to what it says; raises `AnswerError` where it says nothing.
    """
    for line in body.splitlines():
        if line.strip():
            try:
                yield item(load_object(line))
            except AnswerError as error:
                yield Item("", End.UNREADABLE, line, str(error))


def _item(line: dict[str, Any]) -> Item:
    key, response, error = line.get("custom_id"), line.get("response"), line.get("error")
    if not isinstance(key, str):
        raise AnswerError("a line of the results names no custom_id")
    if error:
        undone = isinstance(error, dict) and str(error.get("code")) in _UNDONE
        return Item(key, End.UNDONE if undone else End.FAILED, words=refused_words(error))
    if member(response, "status_code", int) == OK:
        return Item(key, End.ANSWERED, dump(member(response, "body", dict)))
    return Item(key, End.FAILED, words=refused_words(member(line, "response", dict).get("body")))


_UNDONE = {"batch_expired", "batch_cancelled"}
"""Codes of OpenAI for questions that a job did not come to."""


def wrapped(key: str, body: bytes, **members: str) -> bytes:
    """A line: the question under its name, without `stream`, which says how a reply is sent and not what is in it."""
    tree = {name: value for name, value in json.loads(body).items() if name != "stream"}
    return dump({"custom_id": key, **members, "body": tree})
