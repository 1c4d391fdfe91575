"""Description of inference with certificates, beyond that of any inference."""

from __future__ import annotations

from typing import Any

from bbsmooth.serving.description import REFUSALS
from bbsmooth.serving.description import inference as any_inference
from bbsmooth.serving.smoothed.model import SmoothedModel

_REFUSALS = {
    **{status: REFUSALS[status] for status in (400, 404, 413, 415, 500, 503)},
    401: "No key, or one that is not known here.",
    402: "The client's budget is spent; asking again does not help.",
    403: "Asked by a page of another site.",
    408: "The body came too slowly.",
    429: "Too fast, or too much is at work; `Retry-After` says when to ask again.",
    502: "The classifier behind the service gave no usable answer.",
}
_LEFT = {"budget_left": {"type": "integer", "description": "queries left to the client"}}


def inference(model: SmoothedModel) -> dict[str, Any]:
    """Arguments of `APIRouter.post` that describe inference."""
    return any_inference(
        model,
        refusals={status: text for status, text in sorted(_REFUSALS.items()) if model.keyed or status != 401},
        parameters=_LEFT,
        security=[{"key": []}] if model.keyed else (),
    )
