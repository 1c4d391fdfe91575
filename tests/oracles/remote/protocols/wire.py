"""What tests of protocols share: recorded messages, and protocols connected to a server that is a dictionary."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from oracles.options import read, refuse_unknown
from oracles.remote.descriptor import CommonOptions, Endpoint
from oracles.remote.messages import Reply, Request
from oracles.remote.opening import PROTOCOLS
from oracles.remote.wire_protocol import WireProtocol

GOLDEN = Path(__file__).parents[1] / "golden"

TWO_GREY = torch.tensor([[[[0, 128], [255, 1]]], [[[7, 0], [0, 254]]]], dtype=torch.uint8)
"""The images (2, 1, 2, 2) of the recorded requests; those about one image ask about the first."""


def connected(
    protocol: str,
    url: str,
    options: Mapping[str, object] | None = None,
    metadata: Mapping[str, Reply | object] | None = None,
) -> WireProtocol:
    """A protocol, connected to a server that knows the given replies (or their JSON) by URL, and 404 for all else."""
    kind = PROTOCOLS[protocol]
    given = options or {}
    refuse_unknown(given, [kind.options, CommonOptions], place="test")
    replies = {url: known if isinstance(known, Reply) else json_reply(known) for url, known in (metadata or {}).items()}
    return kind.connect(
        Endpoint(protocol, url, read(CommonOptions, given, place="test")),
        read(kind.options, given, place="test"),
        lambda request: replies.get(request.url, Reply(404, {}, b'{"error": "no such thing"}')),
    )


def json_reply(tree: object, **headers: str) -> Reply:
    """A reply of status 200 with JSON in it."""
    return Reply(200, headers, json.dumps(tree).encode())


def body(request: Request) -> Any:
    """The JSON in a request."""
    return json.loads(request.body)


def recorded_request(name: str) -> Request:
    """A request as it stands in a file: method and URL, a line for each header, an empty line, the body."""
    first, headers, content = _parts(GOLDEN / f"{name}.request")
    method, _, url = first.partition(" ")
    return Request(method, url, headers, content)


def recorded_reply(name: str) -> Reply:
    """A reply as it stands in a file: status, a line for each header, an empty line, the body."""
    first, headers, content = _parts(GOLDEN / f"{name}.reply")
    return Reply(int(first), {key.lower(): value for key, value in headers.items()}, content)


def _parts(path: Path) -> tuple[str, dict[str, str], bytes]:
    head, _, content = path.read_bytes().partition(b"\n\n")
    first, *lines = head.decode().splitlines()
    return first, dict(line.split(": ", 1) for line in lines), content
