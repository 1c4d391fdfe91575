"""Questions of the Open Inference Protocol as messages.

Nothing about tensors is decided here: they come as they do for HTTP, in bytes or as JSON, and go into messages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from oracles.errors import OracleUnavailable
from oracles.remote.grpc.contents import list_field
from oracles.remote.grpc.parameters import to_messages
from oracles.remote.grpc.schema import message
from oracles.remote.messages import Request
from oracles.remote.protocols.kserve_outputs import TEXT

if TYPE_CHECKING:
    from oracles.remote.protocols.kserve_inputs import InputTensor

_PATH = re.compile(r"/v2(?:/models/(?P<model>[^/]+)(?:/versions/(?P<version>[^/]+))?(?P<what>/infer|/ready|/config)?)?")
_METHODS = {"/infer": "ModelInfer", "/ready": "ModelReady", "/config": "ModelConfig", None: "ModelMetadata"}
_RAW = b"\x3a"
"""Tag of the field `raw_input_contents` (number 7, with a length) on the wire."""


def question(request: Request) -> tuple[str, bytes]:
    """The method that a request asks, and its message on the wire.

    Args:
        request: from `inference`, or for metadata as over HTTP.

    Raises:
        OracleUnavailable: the address is none of the protocol.
    """
    path = _PATH.fullmatch(urlsplit(request.url).path)
    if path is None:
        raise OracleUnavailable(f"{request.url} is no address of the protocol; name it grpc+kserve://HOST:PORT/NAME")
    method = _METHODS[path["what"]] if path["model"] else "ServerMetadata"
    if method == "ModelInfer":
        return method, request.body
    named = _named(request.url) if path["model"] else {}
    return method, message(f"{method}Request", **named).SerializeToString()


def inference(
    url: str,
    tensors: Sequence[InputTensor],
    outputs: Mapping[str, Mapping[str, Any]],
    identifier: str,
    *,
    binary: bool,
) -> Request:
    """A request whose body is the message of an inference.

    Args:
        url: of the model.
        tensors: that go in.
        outputs: those that are asked for, with their parameters; empty for all.
        identifier: of the request.
        binary: whether tensors go as bytes rather than in lists.
    """
    named = _named(url)
    found = message("ModelInferRequest", id=identifier, model_name=named["name"], model_version=named["version"])
    for tensor in tensors:
        added = found.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        for key, value in to_messages(tensor.parameters).items():
            added.parameters[key].CopyFrom(value)
        if not binary:
            values = json.loads(tensor.text())
            texts = tensor.datatype == TEXT
            getattr(added.contents, list_field(tensor.datatype)).extend(map(str.encode, values) if texts else values)
    for name, parameters in outputs.items():
        wanted = found.outputs.add(name=name)
        for key, value in to_messages(parameters).items():
            wanted.parameters[key].CopyFrom(value)
    pieces = [found.SerializeToString()]
    for tensor in tensors if binary else ():  # on the wire a message goes on; so large tensors are copied but once
        pieces += (_RAW, _length(tensor.raw), tensor.raw)
    return Request("POST", f"{url}/infer", {}, b"".join(pieces), identifier)


def _named(url: str) -> dict[str, str]:
    """Name and version of the model at a URL."""
    path = _PATH.fullmatch(urlsplit(url).path)
    assert path is not None, "the protocol has looked at the address"
    return {"name": unquote(path["model"]), "version": unquote(path["version"] or "")}


def _length(raw: bytes | memoryview) -> bytes:
    """The length of some bytes as a varint."""
    left, found = len(raw), bytearray()
    while left > 0x7F:
        found.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*found, left])
