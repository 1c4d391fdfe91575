"""Questions of the Open Inference Protocol as messages, from their form over HTTP.

All that is decided about tensors is decided in one place, for HTTP with its binary extension; here the same bytes move
into messages. Parameters that only say where those bytes stand are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from oracles.errors import OracleUnavailable
from oracles.remote.grpc.contents import list_field
from oracles.remote.grpc.parameters import to_messages
from oracles.remote.grpc.schema import message
from oracles.remote.messages import Request
from oracles.remote.protocols.kserve_outputs import HEADER_LENGTH, TEXT

_PATH = re.compile(r"/v2(?:/models/(?P<model>[^/]+)(?:/versions/(?P<version>[^/]+))?(?P<what>/infer|/ready|/config)?)?")
_METHODS = {"/infer": "ModelInfer", "/ready": "ModelReady", "/config": "ModelConfig", None: "ModelMetadata"}
_PLACES = ("binary_data_size", "binary_data", "binary_data_output")


def question(request: Request) -> tuple[str, Any]:
    """The method that a request asks, and its message.

    Args:
        request: as over HTTP, with tensors as JSON or as bytes behind it.

    Raises:
        OracleUnavailable: the address is none of the protocol.
    """
    path = _PATH.fullmatch(urlsplit(request.url).path)
    if path is None:
        raise OracleUnavailable(f"{request.url} is no address of the protocol; name it grpc+kserve://HOST:PORT/NAME")
    if path["model"] is None:
        return "ServerMetadata", message("ServerMetadataRequest")
    method, name, version = _METHODS[path["what"]], unquote(path["model"]), unquote(path["version"] or "")
    if method == "ModelInfer":
        return method, _inference(request, name, version)
    return method, message(f"{method}Request", name=name, version=version)


def _inference(request: Request, name: str, version: str) -> Any:
    end = int(request.headers.get(HEADER_LENGTH, len(request.body)))
    tree = json.loads(request.body[:end])
    found = message(
        "ModelInferRequest",
        model_name=name,
        model_version=version,
        id=tree["id"],
        parameters=_parameters(tree),
        outputs=[
            message("InferRequestedOutputTensor", name=output["name"], parameters=_parameters(output))
            for output in tree.get("outputs", ())
        ],
    )
    start = end
    for tensor in tree["inputs"]:
        added = found.inputs.add(name=tensor["name"], datatype=tensor["datatype"], shape=tensor["shape"])
        for key, value in _parameters(tensor).items():
            added.parameters[key].CopyFrom(value)
        if (size := tensor.get("parameters", {}).get("binary_data_size")) is not None:
            found.raw_input_contents.append(request.body[start : start + size])
            start += size
        else:
            _list(added, tensor)
    return found


def _list(added: Any, tensor: Mapping[str, Any]) -> None:
    """Fill the list of a tensor with what its JSON holds."""
    datatype, values = tensor["datatype"], tensor["data"]
    if datatype == TEXT:
        values = [value.encode() for value in values]
    getattr(added.contents, list_field(datatype)).extend(values)


def _parameters(holder: Mapping[str, Any]) -> dict[str, Any]:
    given = holder.get("parameters", {})
    return to_messages({name: value for name, value in given.items() if name not in _PLACES})
