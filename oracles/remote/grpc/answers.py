"""Answers of the Open Inference Protocol in their form over HTTP, from messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from oracles.errors import AnswerError
from oracles.remote.grpc.contents import raw_of
from oracles.remote.grpc.parameters import from_messages
from oracles.remote.json_text import dump
from oracles.remote.messages import Reply
from oracles.remote.protocols.kserve_outputs import HEADER_LENGTH

_BYTES = "binary_tensor_data"
"""The extension of HTTP that messages need not name: each has a place for bytes."""


def reply(method: str, answer: Any) -> Reply:
    """The reply over HTTP that says the same as a message.

    Raises:
        AnswerError: bytes and tensors of an inference do not go together.
    """
    if method == "ModelInfer":
        return _inference(answer)
    found = tree(answer.config if method == "ModelConfig" else answer)
    if method == "ServerMetadata":
        found["extensions"] = sorted({*found["extensions"], _BYTES})
    return Reply(200, {"content-type": "application/json"}, dump(found))


def tree(answer: Any) -> dict[str, Any]:
    """A message as JSON has it, with every field."""
    return {field.name: _value(field, getattr(answer, field.name)) for field in answer.DESCRIPTOR.fields}


def _value(field: Any, value: Any) -> Any:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return from_messages(value)
    if field.is_repeated:
        return [_one(field, each) for each in value]
    return _one(field, value)


def _one(field: Any, value: Any) -> Any:
    if field.message_type is not None:
        return tree(value)
    if field.enum_type is None:
        return value
    known = field.enum_type.values_by_number.get(value)
    return known.name if known else str(value)


def _inference(answer: Any) -> Reply:
    raw = list(answer.raw_output_contents)
    if raw and len(raw) != len(answer.outputs):
        raise AnswerError(f"the reply holds the bytes of {len(raw)} tensors, and names {len(answer.outputs)}")
    raw = raw or [raw_of(tensor.contents, tensor.datatype) for tensor in answer.outputs]
    head = dump(
        {
            "id": answer.id,
            "model_name": answer.model_name,
            "model_version": answer.model_version,
            "parameters": from_messages(answer.parameters),
            "outputs": [_described(tensor, part) for tensor, part in zip(answer.outputs, raw, strict=True)],
        }
    )
    return Reply(200, {HEADER_LENGTH.lower(): str(len(head))}, _joined(head, raw))


def _described(tensor: Any, raw: bytes) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "datatype": tensor.datatype,
        "shape": list(tensor.shape),
        "parameters": from_messages(tensor.parameters) | {"binary_data_size": len(raw)},
    }


def _joined(head: bytes, parts: Iterable[bytes]) -> bytes:
    return b"".join([head, *parts])
