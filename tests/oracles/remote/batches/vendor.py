"""A vendor with batch interfaces on 127.0.0.1: those of OpenAI, Anthropic, Gemini and Mistral, in their own shapes.

It answers pictures by their mean, bills what it answers, and misbehaves as it is told. A job ends when it was looked at
often enough, so that no test waits for time to pass. `tests/conformance/test_vendor_batches.py` holds its shapes
against the vendors' own clients.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
from PIL import Image

from tests.oracles.remote.protocols.chat_messages import anthropic, gemini

LABELS = ("dark", "bright")
MODEL = "vlm-1"


@dataclass
class Job:
    """A job at the vendor."""

    name: str
    tag: str | None
    items: list[tuple[str, dict[str, Any]]]
    looks_left: int
    created: float = field(default_factory=time.time)
    ends: dict[str, str] = field(default_factory=dict)
    """By question: answered, failed, expired or cancelled; empty while the job is under way."""

    words: str = ""
    cancelled: bool = False
    input: str = ""

    @property
    def ended(self) -> bool:
        return bool(self.ends) or bool(self.words)


class Vendor:
    """All four interfaces of one vendor.

    Attributes:
        chance: decides about whatever goes wrong by chance.
        looks: at a job until it ends.
        failing: share of the questions that fail in each job.
        empty: share of the questions that are answered with no text at all.
        expiring: share of the jobs that expire with a part unanswered.
        mute: share of the submissions that are taken, and never answered.
        busy: share of the submissions that are turned away with 429.
        refuse: words with which the next jobs are refused as a whole, one each.
        never: digests of pictures whose questions fail always.
        spoil: makes of the lines of a job's results, whose name it is told, those that are sent.
        billed: how often each picture was answered, by its digest; single requests under their own.
        single: pictures that were answered in requests of their own.
        jobs: by name.
    """

    def __init__(self, seed: int = 0) -> None:
        self.chance = random.Random(seed)
        self.looks = 1
        self.failing = self.empty = self.expiring = self.mute = self.busy = 0.0
        self.refuse: list[str] = []
        self.never: set[str] = set()
        self.spoil: Callable[[str, list[bytes]], list[bytes]] = lambda job, lines: lines
        self.model = MODEL
        self.billed: Counter[str] = Counter()
        self.single: Counter[str] = Counter()
        self.jobs: dict[str, Job] = {}
        self.files: dict[str, bytes] = {}
        self.requests: Counter[str] = Counter()
        self.url = ""
        self.lock = threading.RLock()

    @contextmanager
    def running(self) -> Iterator[Vendor]:
        """Answer on a port of 127.0.0.1."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"vendor": self}))
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()

    def oracle(self, kind: str) -> str:
        """The oracle's name."""
        root = f"{self.url}/v1" if kind in ("openai", "mistral") else self.url
        scheme = "openai" if kind == "mistral" else kind
        own = "&batches=mistral" if kind == "mistral" else ""
        return f"{scheme}+{root}?model={MODEL}&labels={','.join(LABELS)}&image_shape=1x4x4{own}"

    def submit(self, tag: str | None, items: list[tuple[str, dict[str, Any]]], name: str, file: str = "") -> Job:
        """Take a job."""
        assert len({key for key, _ in items}) == len(items) > 0
        assert tag is None or tag not in {job.tag for job in self.jobs.values()}
        job = Job(name, tag, items, self.looks, input=file)
        if self.refuse:
            job.words = self.refuse.pop(0)
        self.jobs[name] = job
        return job

    def look(self, name: str) -> Job:
        """A job, one look nearer to its end."""
        job = self.jobs[name]
        if not job.ended:
            job.looks_left -= 1
            if job.looks_left < 0 or job.cancelled:
                self.end(job)
        return job

    def end(self, job: Job) -> None:
        """Answer a job, or a part of it."""
        items = list(job.items)
        self.chance.shuffle(items)
        expired = self.chance.random() < self.expiring
        done = self.chance.randrange(len(items) + 1) if job.cancelled or expired else len(items)
        for number, (key, body) in enumerate(items):
            digest = picture_digest(body)
            if number >= done:
                job.ends[key] = "cancelled" if job.cancelled else "expired"
            elif digest in self.never or self.chance.random() < self.failing:
                job.ends[key] = "failed"
            else:
                job.ends[key] = "answered"
                self.billed[digest] += 1

    def said(self, body: dict[str, Any]) -> str:
        """What the model says of the picture in a question."""
        if self.chance.random() < self.empty:
            return ""
        return LABELS[int(np.asarray(Image.open(io.BytesIO(picture(body)))).mean() > 127.5)]

    def results(self, job: Job) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """(key, end, body of the question) in any order."""
        bodies = dict(job.items)
        for key, end in sorted(job.ends.items(), key=lambda item: hashlib.sha256(item[0].encode()).digest()):
            yield key, end, bodies[key]


def picture(body: dict[str, Any]) -> bytes:
    """The picture in a question of any vendor."""
    found = re.search(r'"(?:data:image/png;base64,)?(iVBOR[^"]+)"', json.dumps(body))
    assert found is not None
    return base64.b64decode(found[1])


def picture_digest(body: dict[str, Any]) -> str:
    """The digest of its pixels."""
    return pixels_digest(np.asarray(Image.open(io.BytesIO(picture(body)))))


def pixels_digest(pixels: np.ndarray[Any, Any]) -> str:
    """The digest of 8-bit pixels (H, W)."""
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


def completion(text: str, model: str = MODEL, backend: str = "fp-one") -> dict[str, Any]:
    """A chat completion."""
    message = {"role": "assistant", "content": text, "refusal": None}
    return {
        "id": "c-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": {"prompt_tokens": 120, "completion_tokens": 4, "total_tokens": 124},
        "system_fingerprint": backend,
    }


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    vendor: Vendor

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if body or not int(self.headers.get("Content-Length") or 0):
            self._serve(body)

    def _serve(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        with self.vendor.lock:
            self.vendor.requests[f"{self.command} {parts.path}"] += 1
            for method, pattern, answer in ROUTES:
                found = re.fullmatch(pattern, parts.path)
                if found and method == self.command:
                    reply = answer(self, [unquote(part) for part in found.groups()], query, body)
                    break
            else:
                reply = (404, {"error": {"message": f"no {self.command} {self.path}"}}, {})
        if reply is None:
            self.close_connection = True
            return
        status, tree, headers = reply
        raw = tree if isinstance(tree, bytes) else json.dumps(tree).encode()
        kind = "application/octet-stream" if isinstance(tree, bytes) else "application/json"
        self.send_response(status)
        for name, value in {"Content-Length": str(len(raw)), "Content-Type": kind, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def taken(self, job: dict[str, Any]) -> Any:
        """The reply to a submission, unless it is lost on its way."""
        return None if self.vendor.chance.random() < self.vendor.mute else (200, job, {})

    def turned_away(self) -> Any:
        """A refusal for being busy, or None."""
        if self.vendor.chance.random() >= self.vendor.busy:
            return None
        return 429, {"error": {"message": "too many"}}, {"Retry-After": "0"}

    # OpenAI and Mistral

    def upload(self, groups: list[str], query: dict[str, str], body: bytes) -> Any:
        boundary = str(self.headers["Content-Type"]).partition("boundary=")[2].strip('"').encode()
        fields = {}
        for part in body.split(b"--" + boundary)[1:-1]:
            head, _, content = part.partition(b"\r\n\r\n")
            name = re.search(rb'name="(\w+)"', head)
            assert name is not None
            fields[name[1].decode()] = content[:-2]
        assert fields["purpose"] == b"batch"
        file = f"file-{len(self.vendor.files)}"
        self.vendor.files[file] = fields["file"]
        shape = {"object": "file", "bytes": len(fields["file"]), "created_at": int(time.time()), "purpose": "batch"}
        extra = {"filename": "x.jsonl", "status": "processed", "sample_type": "batch_request", "source": "upload"}
        return 200, {"id": file, **shape, **extra}, {}

    def complete(self, groups: list[str], query: dict[str, str], body: bytes) -> Any:
        tree = json.loads(body)
        self.vendor.single[picture_digest(tree)] += 1
        return 200, completion(self.vendor.said(tree), self.vendor.model), {}

    def create(self, groups: list[str], query: dict[str, str], body: bytes) -> Any:
        if (refusal := self.turned_away()) is not None:
            return refusal
        tree, name = json.loads(body), f"batch_{len(self.vendor.jobs)}"
        mistral = groups[0] == "batch/jobs"
        file = tree["input_files"][0] if mistral else tree["input_file_id"]
        assert tree["endpoint"] == "/v1/chat/completions"
        lines = [json.loads(line) for line in self.vendor.files[file].splitlines()]
        assert mistral or {(line["method"], line["url"]) for line in lines} == {("POST", "/v1/chat/completions")}
        items = [(line["custom_id"], line["body"]) for line in lines]
        job = self.vendor.submit(tree["metadata"]["bbsmooth"], items, name, file)
        return self.taken(_mistral(job) if mistral else _openai(job))

    def retrieve(self, groups: list[str], query: dict[str, str], body: bytes) -> Any:
        job = self.vendor.look(groups[1])
        return 200, _mistral(job) if groups[0] == "batch/jobs" else _openai(job), {}

    def cancel(self, groups: list[str], query: dict[str, str], body: bytes) -> Any:
        job = self.vendor.jobs[groups[1]]
        job.cancelled = not job.ended
        return 200, _mistral(job) if groups[0] == "batch/jobs" else _openai(job), {}

    def listed(self, groups: list[str], query: dict[str, str], body: bytes) -> Any:
        jobs = [self.vendor.look(name) for name in reversed(self.vendor.jobs)]  # time passes between two looks
        if groups[0] == "batch/jobs":
            size, page = int(query.get("page_size", 100)), int(query.get("page", 0))
            shown = [_mistral(job) for job in jobs[page * size : (page + 1) * size]]
            return 200, {"object": "list", "data": shown, "total": len(jobs)}, {}
        names = [job.name for job in jobs]
        after = query.get("after") or query.get("after_id")
        start = names.index(after) + 1 if after else 0
        size = int(query.get("limit", 20))
        shape = _anthropic if groups[0] == "messages/batches" else _openai
        page_ = [shape(job) for job in jobs[start : start + size]]
        ends = (
            {"first_id": page_[0]["id"], "last_id": page_[-1]["id"]} if page_ else {"first_id": None, "last_id": None}
        )
        return 200, {"object": "list", "data": page_, "has_more": start + size < len(jobs), **ends}, {}

    def content(self, groups: list[str], query: dict[str, str], body: bytes) -> Any:
        kind, _, name = groups[0].partition("-")
        job, lines = self.vendor.jobs[name], list[bytes]()
        for key, end, question in self.vendor.results(job):
            line: dict[str, Any] = {"id": f"r-{key}", "custom_id": key, "response": None, "error": None}
            if end == "answered" and kind == "output":
                reply = completion(self.vendor.said(question), self.vendor.model, f"fp-{len(lines)}")
                line["response"] = {"status_code": 200, "request_id": "q", "body": reply}
            elif end == "failed" and kind == "errors":
                error = {"message": "the picture cannot be read", "type": "invalid_request_error", "code": None}
                line["response"] = {"status_code": 400, "request_id": "q", "body": {"error": error}}
            elif end == "expired" and kind == "errors":
                line["error"] = {"code": "batch_expired", "message": "could not be completed in time"}
            else:
                continue
            lines.append(json.dumps(line).encode())
        return 200, b"\n".join(self.vendor.spoil(name, lines)), {}

    # Anthropic

    def message(self, groups: list[str], query: dict[str, str], body: bytes) -> Any:
        tree = json.loads(body)
        self.vendor.single[picture_digest(tree)] += 1
        return 200, anthropic(self.vendor.said(tree)) | {"model": self.vendor.model}, {}

    def create_messages(self, groups: list[str], query: dict[str, str], body: bytes) -> Any:
        if (refusal := self.turned_away()) is not None:
            return refusal
        items = [(one["custom_id"], one["params"]) for one in json.loads(body)["requests"]]
        assert all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", key) for key, _ in items)
        return self.taken(_anthropic(self.vendor.submit(None, items, f"msgbatch_{len(self.vendor.jobs)}")))

    def retrieve_messages(self, groups: list[str], query: dict[str, str], body: bytes) -> Any:
        return 200, _anthropic(self.vendor.look(groups[0])), {}

    def cancel_messages(self, groups: list[str], query: dict[str, str], body: bytes) -> Any:
        job = self.vendor.jobs[groups[0]]
        job.cancelled = not job.ended
        return 200, _anthropic(job), {}

    def message_results(self, groups: list[str], query: dict[str, str], body: bytes) -> Any:
        lines = []
        for key, end, question in self.vendor.results(self.vendor.jobs[groups[0]]):
            if end == "answered":
                message = anthropic(self.vendor.said(question)) | {"model": self.vendor.model}
                result: dict[str, Any] = {"type": "succeeded", "message": message}
            elif end == "failed":
                inner = {"type": "invalid_request_error", "message": "the picture cannot be read"}
                result = {"type": "errored", "error": {"type": "error", "error": inner, "request_id": "q"}}
            else:
                result = {"type": "canceled" if end == "cancelled" else "expired"}
            lines.append(json.dumps({"custom_id": key, "result": result}).encode())
        return 200, b"\n".join(self.vendor.spoil(groups[0], lines)), {}

    # Gemini

    def generate(self, groups: list[str], query: dict[str, str], body: bytes) -> Any:
        tree = json.loads(body)
        self.vendor.single[picture_digest(tree)] += 1
        return 200, gemini(self.vendor.said(tree)) | {"modelVersion": self.vendor.model}, {}

    def begin_upload(self, groups: list[str], query: dict[str, str], body: bytes) -> Any:
        assert self.headers["X-Goog-Upload-Command"] == "start"
        return 200, {}, {"X-Goog-Upload-URL": f"{self.vendor.url}/upload/v1beta/files?upload_id=7"}

    def finish_upload(self, groups: list[str], query: dict[str, str], body: bytes) -> Any:
        if "upload_id" not in query:
            return self.begin_upload(groups, query, body)
        assert self.headers["X-Goog-Upload-Command"] == "upload, finalize"
        name = f"files/f{len(self.vendor.files)}"
        self.vendor.files[name] = body
        file = {"name": name, "mimeType": "application/jsonl", "sizeBytes": str(len(body)), "state": "ACTIVE"}
        return 200, {"file": file}, {"X-Goog-Upload-Status": "final"}

    def create_generation(self, groups: list[str], query: dict[str, str], body: bytes) -> Any:
        if (refusal := self.turned_away()) is not None:
            return refusal
        batch = json.loads(body)["batch"]
        lines = [json.loads(line) for line in self.vendor.files[batch["inputConfig"]["fileName"]].splitlines()]
        items = [(line["key"], line["request"]) for line in lines]
        job = self.vendor.submit(batch["displayName"], items, f"batches/b{len(self.vendor.jobs)}")
        return self.taken(_gemini(job))

    def retrieve_generation(self, groups: list[str], query: dict[str, str], body: bytes) -> Any:
        return 200, _gemini(self.vendor.look(groups[0])), {}

    def cancel_generation(self, groups: list[str], query: dict[str, str], body: bytes) -> Any:
        job = self.vendor.jobs[groups[0]]
        job.cancelled = not job.ended
        return 200, {}, {}

    def listed_generations(self, groups: list[str], query: dict[str, str], body: bytes) -> Any:
        jobs, start = list(self.vendor.jobs.values()), int(query.get("pageToken") or 0)
        size = int(query.get("pageSize", 50))
        more = {"nextPageToken": str(start + size)} if start + size < len(jobs) else {}
        return 200, {"operations": [_gemini(job) for job in jobs[start : start + size]], **more}, {}

    def download(self, groups: list[str], query: dict[str, str], body: bytes) -> Any:
        assert query == {"alt": "media"}
        lines = []
        for key, end, question in self.vendor.results(self.vendor.jobs[f"batches/{groups[0]}"]):
            if end == "answered":
                reply = gemini(self.vendor.said(question)) | {"modelVersion": self.vendor.model}
                line: dict[str, Any] = {"key": key, "response": reply}
            else:
                code = {"failed": 3, "cancelled": 1, "expired": 4}[end]
                line = {"key": key, "error": {"code": code, "message": "the picture cannot be read"}}
            lines.append(json.dumps(line).encode())
        return 200, b"\n".join(self.vendor.spoil(f"batches/{groups[0]}", lines)), {}


def _openai(job: Job) -> dict[str, Any]:
    status = "in_progress"
    if job.words:
        status = "failed"
    elif job.ended:
        kinds = set(job.ends.values())
        status = "cancelled" if "cancelled" in kinds else "expired" if "expired" in kinds else "completed"
    elif job.cancelled:
        status = "cancelling"
    made = job.ended and not job.words
    error = {"code": job.words.split()[0], "message": job.words, "param": None, "line": None} if job.words else {}
    return {
        "id": job.name,
        "object": "batch",
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
        "created_at": int(job.created),
        "input_file_id": job.input,
        "status": status,
        "output_file_id": f"output-{job.name}" if made and "answered" in job.ends.values() else None,
        "error_file_id": f"errors-{job.name}" if made and {"failed", "expired"} & set(job.ends.values()) else None,
        "errors": {"object": "list", "data": [error]} if job.words else None,
        "request_counts": {"total": len(job.items), "completed": 0, "failed": 0},
        "metadata": {"bbsmooth": job.tag},
    }


def _mistral(job: Job) -> dict[str, Any]:
    status = "RUNNING"
    if job.words:
        status = "FAILED"
    elif job.ended:
        kinds = set(job.ends.values())
        status = "CANCELLED" if "cancelled" in kinds else "TIMEOUT_EXCEEDED" if "expired" in kinds else "SUCCESS"
    elif job.cancelled:
        status = "CANCELLATION_REQUESTED"
    counts = Counter(job.ends.values())
    return {
        "id": job.name,
        "object": "batch",
        "input_files": [job.input],
        "metadata": {"bbsmooth": job.tag},
        "endpoint": "/v1/chat/completions",
        "model": MODEL,
        "output_file": f"output-{job.name}" if counts["answered"] else None,
        "error_file": f"errors-{job.name}" if counts["failed"] + counts["expired"] else None,
        "errors": [{"message": job.words, "count": len(job.items)}] if job.words else [],
        "status": status,
        "created_at": int(job.created),
        "total_requests": len(job.items),
        "completed_requests": len(job.ends),
        "succeeded_requests": counts["answered"],
        "failed_requests": counts["failed"],
    }


def _anthropic(job: Job) -> dict[str, Any]:
    counts = Counter(job.ends.values())
    moment = datetime.fromtimestamp(job.created, UTC).isoformat()
    names = {"succeeded": "answered", "errored": "failed", "canceled": "cancelled", "expired": "expired"}
    return {
        "id": job.name,
        "type": "message_batch",
        "processing_status": "ended" if job.ended else "canceling" if job.cancelled else "in_progress",
        "request_counts": {"processing": 0 if job.ended else len(job.items)}
        | {name: counts[end] for name, end in names.items()},
        "created_at": moment,
        "ended_at": moment if job.ended else None,
        "expires_at": moment,
        "archived_at": None,
        "cancel_initiated_at": moment if job.cancelled else None,
        "results_url": f"https://api.anthropic.com/v1/messages/batches/{job.name}/results" if job.ended else None,
    }


def _gemini(job: Job) -> dict[str, Any]:
    state = "RUNNING"
    if job.words:
        state = "FAILED"
    elif job.ended:
        kinds = set(job.ends.values())
        state = "CANCELLED" if "cancelled" in kinds else "EXPIRED" if "expired" in kinds else "SUCCEEDED"
    metadata: dict[str, Any] = {
        "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch",
        "model": f"models/{MODEL}",
        "displayName": job.tag,
        "state": f"BATCH_STATE_{state}",
        "createTime": datetime.fromtimestamp(job.created, UTC).isoformat(),
        "name": job.name,
    }
    found: dict[str, Any] = {"name": job.name, "metadata": metadata}
    if job.words:
        found |= {"done": True, "error": {"code": 8, "message": job.words}}
    elif job.ended:
        file = {"responsesFile": f"files/{job.name.partition('/')[2]}"}
        found |= {"done": True, "response": file}
        metadata["output"] = file
    return found


ROUTES = (
    ("POST", "/v1/chat/completions", _Handler.complete),
    ("POST", "/v1/files", _Handler.upload),
    ("GET", "/v1/files/([^/]+)/content", _Handler.content),
    ("POST", "/v1/(batches|batch/jobs)", _Handler.create),
    ("GET", "/v1/(batches|batch/jobs|messages/batches)", _Handler.listed),
    ("GET", "/v1/(batches|batch/jobs)/([^/]+)", _Handler.retrieve),
    ("POST", "/v1/(batches|batch/jobs)/([^/]+)/cancel", _Handler.cancel),
    ("POST", "/v1/messages", _Handler.message),
    ("POST", "/v1/messages/batches", _Handler.create_messages),
    ("GET", "/v1/messages/batches/([^/]+)", _Handler.retrieve_messages),
    ("POST", "/v1/messages/batches/([^/]+)/cancel", _Handler.cancel_messages),
    ("GET", "/v1/messages/batches/([^/]+)/results", _Handler.message_results),
    ("POST", "/v1beta/models/[^/:]+:generateContent", _Handler.generate),
    ("POST", "/v1beta/models/[^/:]+:batchGenerateContent", _Handler.create_generation),
    ("POST", "/upload/v1beta/files", _Handler.finish_upload),
    ("GET", "/v1beta/files/([^/:]+):download", _Handler.download),
    ("GET", "/v1beta/batches", _Handler.listed_generations),
    ("GET", "/v1beta/(batches/[^/:]+)", _Handler.retrieve_generation),
    ("POST", "/v1beta/(batches/[^/:]+):cancel", _Handler.cancel_generation),
)
