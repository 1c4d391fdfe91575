"""Description of inference for OpenAPI, and for the page that shows it without loading anything."""

from __future__ import annotations

from typing import Any

from bbsmooth.serving.model import INPUT
from bbsmooth.serving.smoothed.model import SmoothedModel

_ERROR = {
    "type": "object",
    "properties": {"error": {"type": "string", "description": "one line: what was expected, and what came"}},
    "required": ["error"],
}
_REFUSALS = {
    400: "The request is not a question to this model.",
    401: "No key, or one that is not known here.",
    402: "The client's budget is spent; asking again does not help.",
    403: "Asked by a page of another site.",
    404: "Another model or version is served.",
    408: "The body came too slowly.",
    413: "The body is too large.",
    415: "The body is packed in a way that is not understood.",
    429: "Too fast, or too much is at work; `Retry-After` says when to ask again.",
    502: "The classifier behind the service gave no usable answer.",
    503: "The classifier cannot be asked; where asking again can help, `Retry-After` says when.",
}


def inference(model: SmoothedModel) -> dict[str, Any]:
    """Arguments of `APIRouter.post` that describe inference."""
    metadata = model.metadata()
    tensor = metadata["inputs"][0]
    shape = [size if size > 0 else 1 for size in tensor["shape"]]
    values = shape[1] * shape[2] * shape[3]
    body = {
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
                    "properties": {"name": {"type": "string", "enum": list(model.outputs)}},
                    "required": ["name"],
                },
            },
            "parameters": {"type": "object", "properties": {"binary_data_output": {"type": "boolean"}}},
        },
    }
    example = {"inputs": [{"name": INPUT, "shape": shape, "datatype": "UINT8", "data": [0] * min(values, 8)}]}
    extra: dict[str, Any] = {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": body} | ({"example": example} if values <= 8 else {})},
        }
    }
    if model.keyed:
        extra["security"] = [{"key": []}]
    return {
        "responses": {
            200: {"description": "A row for each image in each output tensor.", "content": _reply(metadata)},
            **{
                status: {"description": text, "content": {"application/json": {"schema": _ERROR}}}
                for status, text in _REFUSALS.items()
                if model.keyed or status != 401
            },
        },
        "openapi_extra": extra,
    }


def _input(tensor: dict[str, Any], most: int) -> dict[str, Any]:
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
            "data": {"type": "array", "description": tensor["parameters"]["description"] + "; flat or nested"},
        },
    }


def _reply(metadata: dict[str, Any]) -> dict[str, Any]:
    lines = "; ".join(
        f"{each['name']} ({each['datatype']} {each['shape']}): {each['parameters']['description']}"
        for each in metadata["outputs"]
    )
    schema = {
        "type": "object",
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "parameters": {
                "type": "object",
                "properties": {"budget_left": {"type": "integer", "description": "queries left to the client"}},
            },
            "outputs": {"type": "array", "items": {"type": "object"}, "description": lines},
        },
    }
    return {"application/json": {"schema": schema}}
