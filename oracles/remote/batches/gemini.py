"""Batches of the Gemini API.

Source: Google's documentation of the Batch API and the Files API: input files of up to 2 GB, a target of 24 hours;
the fields are those that google-genai reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from oracles.errors import AnswerError
from oracles.remote.batches.endpoint import (
    BatchLimits,
    End,
    Found,
    Item,
    JobState,
    ask,
    asked,
    name_of,
    refused_words,
    submitted,
)
from oracles.remote.batches.files import items_in
from oracles.remote.json_text import dump, load_object
from oracles.remote.messages import Request
from oracles.remote.polling import address
from oracles.remote.wire_protocol import Send

_ENDED = {"SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED"}
_PARTIAL = {"CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED"}
_PAGE = 100
_LIMITS = BatchLimits(requests=100_000, size=256_000_000)
_UNDONE = {"CANCELLED", "DEADLINE_EXCEEDED", 1, 4}
"""Status codes (google.rpc.Code) of questions that a job did not come to."""


@dataclass(frozen=True, slots=True)
class GeminiBatches:
    """Batches of `generateContent`.

    Args:
        host: as `https://generativelanguage.googleapis.com`.
        version: of the API, as `v1beta`.
        model: that answers.
        send: sends requests.
    """

    host: str
    version: str
    model: str
    send: Send
    name: str = "Gemini"
    limits: BatchLimits = _LIMITS

    def line(self, key: str, request: Request) -> bytes:
        """A line of the input file."""
        return b'{"key":' + dump(key) + b',"request":' + request.body + b"}"

    def stage(self, lines: Sequence[bytes], tag: str) -> bytes:
        """Upload the input file, in one piece of a resumable upload."""
        content = b"\n".join(lines) + b"\n"
        url = f"{self.host}/upload/{self.version}/files"
        headers = {
            "Content-Type": "application/json",
            "X-Goog-Upload-Protocol": "resumable",
            "X-Goog-Upload-Command": "start",
            "X-Goog-Upload-Header-Content-Length": str(len(content)),
            "X-Goog-Upload-Header-Content-Type": "application/jsonl",
        }
        begun = ask(self.send, Request("POST", url, headers, dump({"file": {"displayName": tag}})))
        place = address(url, begun.headers.get("x-goog-upload-url"))
        headers = {"X-Goog-Upload-Command": "upload, finalize", "X-Goog-Upload-Offset": "0"}
        done = load_object(ask(self.send, Request("POST", place, headers, content)).body)
        file = done.get("file")
        name = name_of(file if isinstance(file, dict) else {}, "name")
        return dump({"batch": {"displayName": tag, "inputConfig": {"fileName": name}}})

    def submit(self, body: bytes) -> str:
        """Create the batch."""
        model = quote(self.model, safe="")
        return submitted(self.send, f"{self._root}/models/{model}:batchGenerateContent", body, "name")

    def look(self, job: str) -> JobState:
        """Its state."""
        return _state(asked(self.send, "GET", f"{self._root}/{job}"))

    def items(self, state: JobState) -> Iterator[Item]:
        """The lines of its file of responses; none where it has no such file."""
        metadata = state.tree.get("metadata")
        places = [state.tree.get("response"), metadata.get("output") if isinstance(metadata, dict) else None]
        file = next(
            (place["responsesFile"] for place in places if isinstance(place, dict) and "responsesFile" in place), 0
        )
        if not isinstance(file, str):
            return
        url = f"{self._root}/{file}:download?alt=media"
        yield from items_in(ask(self.send, Request("GET", url)).body, _item)

    def find(self, tag: str, count: int, since: float) -> str | Found:
        """The batch whose display name is the tag."""
        token = ""
        while True:
            page = asked(self.send, "GET", f"{self._root}/batches?pageSize={_PAGE}{token}")
            for job in page.get("operations") or []:
                metadata = job.get("metadata") if isinstance(job, dict) else None
                if isinstance(metadata, dict) and metadata.get("displayName") == tag:
                    return name_of(job, "name")
            if not page.get("nextPageToken"):
                return Found.ABSENT
            token = f"&pageToken={quote(str(page['nextPageToken']), safe='')}"

    def cancel(self, job: str) -> None:
        """Cancel it, unless it has ended."""
        if not self.look(job).ended:
            asked(self.send, "POST", f"{self._root}/{job}:cancel")

    @property
    def _root(self) -> str:
        return f"{self.host}/{self.version}"


def _state(tree: Mapping[str, Any]) -> JobState:
    metadata = tree.get("metadata")
    state = str(metadata.get("state") if isinstance(metadata, dict) else "").rpartition("STATE_")[2]
    words = refused_words(tree.get("error")) or "it gives no reason" if state == "FAILED" else ""
    full, partial = "RESOURCE_EXHAUSTED" in words, state in _PARTIAL
    return JobState(ended=state in _ENDED, words=words, full=full, partial=partial, tree=tree)


def _item(line: dict[str, Any]) -> Item:
    key, response = line.get("key"), line.get("response")
    if not isinstance(key, str):
        raise AnswerError("a line of the responses names no key")
    if isinstance(response, dict):
        return Item(key, End.ANSWERED, dump(response))
    error = line.get("error") or line.get("status")
    if response is not None or not error:
        raise AnswerError("a line of the responses should hold response or error")
    said = [error.get("code"), error.get("status")] if isinstance(error, dict) else []
    codes = {code for code in said if isinstance(code, int | str)}
    return Item(key, End.UNDONE if codes & _UNDONE else End.FAILED, words=refused_words(error))
