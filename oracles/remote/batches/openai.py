"""OpenAI's batches, also of services that are compatible with them.

Source: OpenAI's API reference (files, batches): at most 50,000 requests and 200 MB; expired and cancelled jobs give
what was answered by then, and only that is billed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oracles.remote.batches.endpoint import (
    BatchLimits,
    Found,
    Item,
    JobState,
    asked,
    name_of,
    refused_words,
    submitted,
)
from oracles.remote.batches.files import answers, uploaded, wrapped
from oracles.remote.json_text import dump
from oracles.remote.messages import Request
from oracles.remote.wire_protocol import Send

TAG = "bbsmooth"
"""Key of the metadata under which a job holds its tag."""

_ENDPOINT = "/v1/chat/completions"
_ENDED = {"failed", "completed", "expired", "cancelled"}
_PARTIAL = {"expired", "cancelled"}
_FULL = "token_limit_exceeded"
_PAGE = 100
_LIMITS = BatchLimits(requests=50_000, size=200_000_000)


@dataclass(frozen=True, slots=True)
class OpenaiBatches:
    """Batches of chat completions.

    Args:
        root: of the API, as `https://api.openai.com/v1`.
        send: sends requests.
    """

    root: str
    send: Send
    name: str = "OpenAI"
    limits: BatchLimits = _LIMITS

    def line(self, key: str, request: Request) -> bytes:
        """A line of the input file."""
        return wrapped(key, request.body, method="POST", url=_ENDPOINT)

    def stage(self, lines: Sequence[bytes], tag: str) -> bytes:
        """Upload the input file."""
        file = uploaded(self.send, self.root, lines, tag)
        return dump({"input_file_id": file, "endpoint": _ENDPOINT, "completion_window": "24h", "metadata": {TAG: tag}})

    def submit(self, body: bytes) -> str:
        """Create the batch."""
        return submitted(self.send, f"{self.root}/batches", body)

    def look(self, job: str) -> JobState:
        """Its status."""
        tree = asked(self.send, "GET", f"{self.root}/batches/{job}")
        status = tree.get("status")
        words = refused_words(first_error(tree)) or "it gives no reason" if status == "failed" else ""
        return JobState(ended=status in _ENDED, words=words, full=_FULL in words, partial=status in _PARTIAL, tree=tree)

    def items(self, state: JobState) -> Iterator[Item]:
        """The lines of the output file and of the error file."""
        for file in ("output_file_id", "error_file_id"):
            yield from answers(self.send, self.root, state.tree.get(file))

    def find(self, tag: str, count: int, since: float) -> str | Found:
        """The batch whose metadata hold the tag."""
        after = ""
        while True:
            page = asked(self.send, "GET", f"{self.root}/batches?limit={_PAGE}{after}")
            jobs = [job for job in page.get("data") or [] if isinstance(job, dict)]
            for job in jobs:
                if tag_of(job) == tag:
                    return name_of(job)
            if not (page.get("has_more") and jobs) or jobs[-1].get("created_at", since) < since:
                return Found.ABSENT
            after = f"&after={jobs[-1]['id']}"

    def cancel(self, job: str) -> None:
        """Cancel it, unless it has ended."""
        if not self.look(job).ended:
            asked(self.send, "POST", f"{self.root}/batches/{job}/cancel")


def tag_of(job: Mapping[str, Any]) -> object:
    """The tag in a job's metadata."""
    metadata = job.get("metadata")
    return metadata.get(TAG) if isinstance(metadata, dict) else None


def first_error(job: Mapping[str, Any]) -> object:
    """The first of the errors for which a job was refused."""
    errors = job.get("errors")
    listed = errors.get("data") if isinstance(errors, dict) else errors
    return listed[0] if isinstance(listed, list) and listed else None
