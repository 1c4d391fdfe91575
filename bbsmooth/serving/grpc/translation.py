"""Calls of gRPC as requests of HTTP to our own application, and its replies as messages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from bbsmooth.serving.refusal import CLOSED
from bbsmooth.serving.requests import HEADER_LENGTH
from oracles import AnswerError
from oracles.remote.grpc.contents import raw_of
from oracles.remote.grpc.parameters import from_messages, to_messages
from oracles.remote.grpc.schema import message

_CODES = {
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    413: "OUT_OF_RANGE",
    429: "RESOURCE_EXHAUSTED",
    CLOSED: "CANCELLED",
    503: "UNAVAILABLE",
}
"""Status codes for statuses of HTTP; other refusals are INVALID_ARGUMENT, other failures INTERNAL."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request to the application.

    Attributes:
        method: of HTTP.
        path: of it.
        headers: names in lower case.
        body: of it.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def question(method: str, asked: Any) -> Question:
    """The request that asks the same as a call.

    Raises:
        AnswerError: the elements of a tensor do not go together, or no model is named.
    """
    match method:
        case "ServerLive":
            return Question("GET", "/v2/health/live")
        case "ServerReady":
            return Question("GET", "/v2/health/ready")
        case "ServerMetadata":
            return Question("GET", "/v2")
        case "RepositoryIndex":
            return Question("POST", "/v2/repository/index")
        case "ModelStatistics" if not asked.name:
            return Question("GET", "/v2/models/stats")
        case "ModelInfer":
            return _inference(asked)
    end = {"ModelReady": "/ready", "ModelConfig": "/config", "ModelStatistics": "/stats", "ModelMetadata": ""}[method]
    return Question("GET", _model(asked.name, asked.version) + end)


def _model(name: str, version: str) -> str:
    if not name:
        raise AnswerError("the call should name the model")
    return f"/v2/models/{quote(name, safe='')}" + (f"/versions/{quote(version, safe='')}" if version else "")


def _inference(asked: Any) -> Question:
    raw = list(asked.raw_input_contents)
    if raw and len(raw) != len(asked.inputs):
        raise AnswerError(f"raw_input_contents holds {len(raw)} tensors, and inputs names {len(asked.inputs)}")
    raw = raw or [raw_of(tensor.contents, tensor.datatype) for tensor in asked.inputs]
    tree: dict[str, Any] = {
        "inputs": [_described(tensor, part) for tensor, part in zip(asked.inputs, raw, strict=True)],
        "parameters": from_messages(asked.parameters) | {"binary_data_output": True},
    }
    if asked.id:
        tree["id"] = asked.id
    if asked.outputs:
        tree["outputs"] = [{"name": output.name, "parameters": {"binary_data": True}} for output in asked.outputs]
    head = json.dumps(tree).encode()
    headers = {"content-type": "application/octet-stream", HEADER_LENGTH: str(len(head))}
    body = b"".join([head, *raw])
    headers["content-length"] = str(len(body))
    return Question("POST", f"{_model(asked.model_name, asked.model_version)}/infer", headers, body)


def _described(tensor: Any, raw: bytes) -> dict[str, Any]:
    parameters = from_messages(tensor.parameters) | {"binary_data_size": len(raw)}
    described = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
    return described | {"parameters": parameters}


def answer(method: str, status: int, headers: Mapping[str, str], body: bytes) -> Any:
    """The message that says the same as a reply, None where it is a refusal.

    Args:
        method: that was asked.
        status: of the reply.
        headers: of it, names in lower case.
        body: of it.
    """
    if method in ("ServerLive", "ServerReady", "ModelReady") and status in (200, 503):
        return message(f"{method}Response", **{"live" if method == "ServerLive" else "ready": status == 200})
    if status != 200:
        return None
    if method == "ModelInfer":
        return _answer(body, headers.get(HEADER_LENGTH))
    tree = json.loads(body)
    match method:
        case "RepositoryIndex":
            return message("RepositoryIndexResponse", models=tree)
        case "ModelConfig":
            return message("ModelConfigResponse", config=tree)
        case "ModelMetadata":
            return _metadata(tree)
    return message(f"{method}Response", **tree)


def _metadata(tree: dict[str, Any]) -> Any:
    found = message(
        "ModelMetadataResponse",
        name=tree["name"],
        versions=tree["versions"],
        platform=tree["platform"],
        parameters=to_messages(tree.get("parameters", {})),
    )
    for side in ("inputs", "outputs"):
        for tensor in tree[side]:
            added = getattr(found, side).add(name=tensor["name"], datatype=tensor["datatype"], shape=tensor["shape"])
            _set(added.parameters, tensor.get("parameters", {}))
    return found


def _answer(body: bytes, stated: str | None) -> Any:
    start = len(body) if stated is None else int(stated)
    tree = json.loads(body[:start])
    found = message(
        "ModelInferResponse",
        model_name=tree["model_name"],
        model_version=tree["model_version"],
        id=tree.get("id", ""),
        parameters=to_messages(tree.get("parameters", {})),
    )
    for output in tree["outputs"]:
        found.outputs.add(name=output["name"], datatype=output["datatype"], shape=output["shape"])
        end = start + output["parameters"]["binary_data_size"]
        found.raw_output_contents.append(body[start:end])
        start = end
    return found


def _set(field: Any, parameters: Mapping[str, Any]) -> None:
    for name, value in to_messages(parameters).items():
        field[name].CopyFrom(value)


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    """Status code, one line and metadata for a reply that is a refusal."""
    try:
        said = str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        said = body[:200].decode(errors="replace")
    trailers: tuple[tuple[str, str], ...] = ()
    if (seconds := headers.get("retry-after")) is not None:
        trailers = (("retry-after", seconds), ("grpc-retry-pushback-ms", str(1000 * int(seconds))))
    return _CODES.get(status, "INVALID_ARGUMENT" if status < 500 else "INTERNAL"), said, trailers


def credentials(metadata: Iterable[tuple[str, str | bytes]]) -> dict[str, str]:
    """The headers that come with a call: all of its metadata that are texts and not the protocol's own."""
    own = ("grpc-", ":", "content-", "user-agent", "te", HEADER_LENGTH)
    return {name: value for name, value in metadata if isinstance(value, str) and not name.startswith(own)}
