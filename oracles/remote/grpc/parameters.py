"""Parameters of tensors, requests and models in messages: texts, numbers and truth values by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_JSON = "_json"
"""Ends the name of a parameter that holds JSON: messages know neither lists nor nothing."""

_LARGEST = 2**63


def to_messages(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as fields of messages; those that no message holds as JSON, under a longer name."""
    from oracles.remote.grpc.schema import message

    found = {}
    for name, value in parameters.items():
        field = _field(value)
        if field is None:
            name, value, field = name + _JSON, json.dumps(value), "string_param"
        found[name] = message("InferParameter", **{field: value})
    return found


def from_messages(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The same back; a text that should be JSON and is none stays as it is."""
    found: dict[str, Any] = {}
    for name, value in parameters.items():
        field = value.WhichOneof("parameter_choice")
        plain = getattr(value, field) if field else None
        if name.endswith(_JSON) and isinstance(plain, str):
            try:
                found[name.removesuffix(_JSON)] = json.loads(plain)
            except (ValueError, RecursionError):
                found[name] = plain
        else:
            found[name] = plain
    return found


def _field(value: object) -> str | None:
    """The field for a value, None where there is none."""
    if isinstance(value, bool):
        return "bool_param"
    if isinstance(value, int) and -_LARGEST <= value < _LARGEST:
        return "int64_param"
    if isinstance(value, float):
        return "double_param"
    return "string_param" if isinstance(value, str) else None
