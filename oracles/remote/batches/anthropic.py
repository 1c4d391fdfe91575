"""Anthropic's message batches.

A batch holds no metadata. Its tag is the beginning of the names of its questions, which its results repeat; so a batch
whose submission was never answered is known for certain once it has ended.

Source: Anthropic's API reference (message batches): at most 100,000 requests and 256 MB, answered within 24 hours;
what errs, is cancelled or expires is not billed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from oracles.errors import AnswerError
from oracles.remote.batches.endpoint import (
    BatchLimits,
    End,
    Found,
    Item,
    JobState,
    ask,
    name_of,
    refused_words,
    submitted,
)
from oracles.remote.batches.files import items_in
from oracles.remote.json_text import dump, kind, load_object, member
from oracles.remote.messages import Request
from oracles.remote.wire_protocol import Send

_PAGE = 100
_LIMITS = BatchLimits(requests=100_000, size=256_000_000)
_CLOCKS = 300.0
"""Seconds by which the vendor's clock may be behind ours."""


@dataclass(frozen=True, slots=True)
class AnthropicBatches:
    """Message batches.

    Args:
        url: of the messages, as `https://api.anthropic.com/v1/messages`.
        headers: of every request.
        send: sends requests.
    """

    url: str
    headers: Mapping[str, str]
    send: Send
    name: str = "Anthropic"
    limits: BatchLimits = _LIMITS

    def line(self, key: str, request: Request) -> bytes:
        """An element of the list of requests."""
        return b'{"custom_id":' + dump(key) + b',"params":' + request.body + b"}"

    def stage(self, lines: Sequence[bytes], tag: str) -> bytes:
        """Nothing is brought anywhere: the submission holds it all."""
        return b'{"requests":[' + b",".join(lines) + b"]}"

    def submit(self, body: bytes) -> str:
        """Create the batch."""
        return submitted(self.send, f"{self.url}/batches", body, headers=self.headers)

    def look(self, job: str) -> JobState:
        """Its processing status."""
        tree = self._asked("GET", f"/{job}")
        return JobState(ended=tree.get("processing_status") == "ended", tree=tree)

    def items(self, state: JobState) -> Iterator[Item]:
        """The lines of its results."""
        body = ask(self.send, self._request("GET", f"/{state.tree.get('id')}/results")).body
        yield from items_in(body, _item)

    def find(self, tag: str, count: int, since: float) -> str | Found:
        """The batch of as many questions, submitted since then, whose results repeat the tag."""
        perhaps, after = False, ""
        while True:
            page = self._asked("GET", f"?limit={_PAGE}{after}")
            jobs = [job for job in page.get("data") or [] if isinstance(job, dict)]
            for job in (job for job in jobs if _may_be(job, count, since)):
                if job.get("processing_status") != "ended":
                    perhaps = True
                elif any(item.key.startswith(f"{tag}-") for item in self.items(JobState(ended=True, tree=job))):
                    return name_of(job)
            if not (page.get("has_more") and jobs) or _created(jobs[-1]) < since - _CLOCKS:
                return Found.PERHAPS if perhaps else Found.ABSENT
            after = f"&after_id={jobs[-1]['id']}"

    def cancel(self, job: str) -> None:
        """Cancel it, unless it has ended."""
        if self.look(job).tree.get("processing_status") == "in_progress":
            self._asked("POST", f"/{job}/cancel")

    def _request(self, method: str, rest: str, body: bytes = b"") -> Request:
        return Request(method, f"{self.url}/batches{rest}", self.headers, body)

    def _asked(self, method: str, rest: str, body: bytes = b"") -> dict[str, Any]:
        return load_object(ask(self.send, self._request(method, rest, body)).body)


def _may_be(job: Mapping[str, Any], count: int, since: float) -> bool:
    counts = job.get("request_counts")
    numbers = [number for number in counts.values() if isinstance(number, int)] if isinstance(counts, dict) else []
    return sum(numbers) == count and _created(job) >= since - _CLOCKS and not job.get("archived_at")


def _created(job: Mapping[str, Any]) -> float:
    try:
        return datetime.fromisoformat(str(job.get("created_at"))).timestamp()
    except ValueError as error:
        raise AnswerError("a message batch should say when it was created") from error


def _item(line: dict[str, Any]) -> Item:
    key, result = line.get("custom_id"), line.get("result")
    if not isinstance(key, str) or not isinstance(result, dict):
        raise AnswerError("a line of the results should hold custom_id and result")
    match result.get("type"):
        case "succeeded":
            return Item(key, End.ANSWERED, dump(member(result, "message", dict)))
        case "canceled" | "expired":
            return Item(key, End.UNDONE, words=str(result["type"]))
        case "errored":
            return Item(key, End.FAILED, words=refused_words(result.get("error")))
        case other:
            raise AnswerError(f"a line of the results should tell how its question ended, got {kind(other)}")
