"""Mistral's batch jobs.

Source: Mistral's documentation of batch inference and API reference (files, batch jobs): up to 1,000,000 requests
wait at once; files hold up to 512 MB.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from oracles.remote.batches.endpoint import BatchLimits, Found, Item, JobState, asked, name_of, refused_words, submitted
from oracles.remote.batches.files import answers, uploaded, wrapped
from oracles.remote.batches.openai import TAG, first_error, tag_of
from oracles.remote.json_text import dump
from oracles.remote.messages import Request
from oracles.remote.wire_protocol import Send

_ENDED = {"SUCCESS", "FAILED", "TIMEOUT_EXCEEDED", "CANCELLED"}
_PARTIAL = _ENDED - {"SUCCESS"}
_PAGE = 100
_LIMITS = BatchLimits(requests=100_000, size=256_000_000)


@dataclass(frozen=True, slots=True)
class MistralBatches:
    """Batch jobs of chat completions.

    Args:
        root: of the API, as `https://api.mistral.ai/v1`.
        model: that answers.
        send: sends requests.
    """

    root: str
    model: str
    send: Send
    name: str = "Mistral"
    limits: BatchLimits = _LIMITS

    def line(self, key: str, request: Request) -> bytes:
        """A line of the input file."""
        return wrapped(key, request.body)

    def stage(self, lines: Sequence[bytes], tag: str) -> bytes:
        """Upload the input file."""
        file = uploaded(self.send, self.root, lines, tag)
        return dump(
            {
                "input_files": [file],
                "endpoint": "/v1/chat/completions",
                "model": self.model,
                "metadata": {TAG: tag},
                "timeout_hours": 24,
            }
        )

    def submit(self, body: bytes) -> str:
        """Create the job."""
        return submitted(self.send, f"{self.root}/batch/jobs", body)

    def look(self, job: str) -> JobState:
        """Its status. One that failed may have answered a part."""
        tree = asked(self.send, "GET", f"{self.root}/batch/jobs/{job}")
        refused = tree.get("status") == "FAILED" and not tree.get("succeeded_requests")
        words = refused_words(first_error(tree)) or "it gives no reason" if refused else ""
        status = tree.get("status")
        return JobState(ended=status in _ENDED, words=words, partial=status in _PARTIAL, tree=tree)

    def items(self, state: JobState) -> Iterator[Item]:
        """The lines of the output file and of the error file."""
        for file in ("output_file", "error_file"):
            yield from answers(self.send, self.root, state.tree.get(file))

    def find(self, tag: str, count: int, since: float) -> str | Found:
        """The job whose metadata hold the tag."""
        page = 0
        while True:
            tree = asked(self.send, "GET", f"{self.root}/batch/jobs?page={page}&page_size={_PAGE}")
            jobs = [job for job in tree.get("data") or [] if isinstance(job, dict)]
            for job in jobs:
                if tag_of(job) == tag:
                    return name_of(job)
            page += 1
            if len(jobs) < _PAGE:
                return Found.ABSENT

    def cancel(self, job: str) -> None:
        """Cancel it, unless it has ended."""
        if not self.look(job).ended:
            asked(self.send, "POST", f"{self.root}/batch/jobs/{job}/cancel")
