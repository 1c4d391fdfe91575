"""Files of questions and answers, as OpenAI has them and Mistral too: JSON, an object a line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from oracles.errors import AnswerError
from oracles.remote.batches.endpoint import End, Item, ask, name_of, refused_words
from oracles.remote.json_text import dump, load_object
from oracles.remote.messages import Request
from oracles.remote.wire_protocol import Send


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
    for line in objects(body):
        yield _item(line)


def objects(body: bytes) -> Iterator[dict[str, Any]]:
    """The objects in a text that holds one a line.

    Raises:
        AnswerError: a line is none.
    """
    for line in body.splitlines():
        if line.strip():
            yield load_object(line)


def _item(line: dict[str, Any]) -> Item:
    key, response, error = line.get("custom_id"), line.get("response"), line.get("error")
    if not isinstance(key, str):
        raise AnswerError("a line of the results names no custom_id")
    if isinstance(response, dict) and response.get("status_code") == 200 and not error:
        return Item(key, End.ANSWERED, dump(response.get("body")))
    said = error or (response.get("body") if isinstance(response, dict) else None)
    words = refused_words(said)
    undone = isinstance(error, dict) and str(error.get("code")) in _UNDONE
    return Item(key, End.UNDONE if undone else End.FAILED, words=words)


_UNDONE = {"batch_expired", "batch_cancelled"}
"""Codes of OpenAI for questions that a job did not come to."""


def wrapped(key: str, body: bytes, **members: str) -> bytes:
    """A line: the question under its name, without `stream`, which says how a reply is sent and not what is in it."""
    tree = {name: value for name, value in json.loads(body).items() if name != "stream"}
    return dump({"custom_id": key, **members, "body": tree})
