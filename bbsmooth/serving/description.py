"""Description of the protocol's routes for OpenAPI, and for the page that shows it without loading anything.

Every array says what its items are, so that generators of clients know which type to write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from bbsmooth.serving.model import INPUT

ERROR: dict[str, Any] = {
    "type": "object",
    "properties": {"error": {"type": "string", "description": "one line: what was expected, and what came"}},
    "required": ["error"],
}
"""The body of each refusal."""

REFUSALS = {
    400: "The request is not a question to this model.",
    404: "Another model or version is served.",
    413: "The body is too large.",
    415: "The body is packed in a way that is not understood.",
    422: "The classifier does not answer these images.",
    500: "The server failed.",
    503: "The classifier cannot be asked; where asking again can help, `Retry-After` says when.",
}
"""Statuses of inference with any model, and what they mean."""

_VALUE = {"anyOf": [{"type": "number"}, {"type": "string"}, {"type": "boolean"}, {"type": "array", "items": {}}]}
_PARAMETERS = {"type": "object", "additionalProperties": True}


class DescribedModel(Protocol):
    """A model that is asked by the protocol."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the output tensors."""
        ...

    @property
    def max_batch(self) -> int:
        """Most images in one request."""
        ...

    def metadata(self) -> dict[str, Any]:
        """The reply to a question for metadata."""
        ...


def refusal(meaning: str) -> dict[str, Any]:
    """A refusal, as `responses` of a route have it."""
    return {"description": meaning, "content": {"application/json": {"schema": ERROR}}}


def inference(
    model: DescribedModel,
    *,
    refusals: Mapping[int, str] = REFUSALS,
    parameters: Mapping[str, Any] | None = None,
    security: Sequence[Mapping[str, list[str]]] = (),
) -> dict[str, Any]:
    """Arguments of `APIRouter.post` that describe inference.

    Args:
        model: that is asked.
        refusals: statuses and what they mean.
        parameters: schemas of what a reply says besides its tensors, by name.
        security: what a client has to show.
    """
    metadata = model.metadata()
    extra: dict[str, Any] = {
        "requestBody": {"required": True, "content": {"application/json": _question(model, metadata)}}
    }
    if security:
        extra["security"] = list(security)
    answered = {"description": "A row for each image in each output tensor.", "content": _answer(metadata, parameters)}
    return {
        "responses": {200: answered, **{status: refusal(text) for status, text in refusals.items()}},
        "openapi_extra": extra,
    }


def _question(model: DescribedModel, metadata: dict[str, Any]) -> dict[str, Any]:
    tensor = metadata["inputs"][0]
    schema = {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string", "description": "repeated in the reply"},
            "inputs": {"type": "array", "minItems": 1, "maxItems": 1, "items": _input(tensor, model.max_batch)},
            "outputs": {
                "type": "array",
                "description": "which outputs to send; all of them if left out",
                "items": {
                    "type": "object",
                    "properties": {"name": {"type": "string", "enum": list(model.outputs)}, "parameters": _PARAMETERS},
                    "required": ["name"],
                },
            },
            "parameters": {"type": "object", "properties": {"binary_data_output": {"type": "boolean"}}},
        },
    }
    shape = [size if size > 0 else 1 for size in tensor["shape"]]
    values = shape[1] * shape[2] * shape[3]
    if values > 8:
        return {"schema": schema}
    datatype = tensor["datatype"]
    example = {"inputs": [{"name": INPUT, "shape": shape, "datatype": datatype, "data": [0] * values}]}
    return {"schema": schema, "example": example}


def _input(tensor: dict[str, Any], most: int) -> dict[str, Any]:
    described = tensor["parameters"].get("description", "pixels 0 to 255, or floats from 0 to 1")
    return {
        "type": "object",
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": {"type": "string", "enum": [INPUT]},
            "shape": {
                "type": "array",
                "items": {"type": "integer"},
                "description": f"{tensor['shape']}, of which the first at most {most}",
            },
            "datatype": {"type": "string", "enum": tensor["parameters"]["datatypes"]},
            "data": {
                "type": "array",
                "items": {"anyOf": [{"type": "number"}, {"type": "array", "items": {}}]},
                "description": f"{described}; flat or nested",
            },
            "parameters": _PARAMETERS,
        },
    }


def _answer(metadata: dict[str, Any], parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    lines = "; ".join(
        f"{each['name']} ({each['datatype']} {each['shape']}): {_said(each['parameters'])}"
        for each in metadata["outputs"]
    )
    output = {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"type": "string"},
            "datatype": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer"}},
            "parameters": _PARAMETERS,
            "data": {"type": "array", "items": _VALUE},
        },
    }
    schema = {
        "type": "object",
        "required": ["model_name", "model_version", "outputs"],
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "parameters": {"type": "object", "properties": dict(parameters or {})},
            "outputs": {"type": "array", "items": output, "description": lines},
        },
    }
    binary = {"type": "string", "format": "binary", "description": "JSON, and tensors as bytes behind it"}
    return {"application/json": {"schema": schema}, "application/octet-stream": {"schema": binary}}


def _said(parameters: dict[str, Any]) -> str:
    """What an output holds."""
    return str(parameters.get("description") or parameters.get("feedback"))
