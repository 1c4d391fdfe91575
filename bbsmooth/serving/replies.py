"""From answers to the body of an inference reply; scores keep every bit in both forms."""

from __future__ import annotations

import json
from typing import Any

from bbsmooth.serving.model import ServedModel
from bbsmooth.serving.requests import HEADER_LENGTH
from oracles import Answers


def write_reply(
    answers: Answers, model: ServedModel, *, request_id: str | None, binary: bool
) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a reply.

    JSON numbers are the shortest that name the float32 as a double, so that reading them gives the same float32 back.

    Args:
        answers: one an image.
        model: that gave them.
        request_id: to be repeated, None where there is none.
        binary: whether the tensor follows the JSON as little-endian bytes.
    """
    tensor, raw = _scores(answers, model) if model.scored else _names(answers, model)
    if binary:
        del tensor["data"]
        tensor["parameters"] = {"binary_data_size": len(raw)}
    envelope: dict[str, Any] = {"model_name": model.name, "model_version": model.version}
    if request_id is not None:
        envelope["id"] = request_id
    head = json.dumps(envelope | {"outputs": [tensor]}).encode()
    if not binary:
        return head, {"content-type": "application/json"}
    return head + raw, {"content-type": "application/octet-stream", HEADER_LENGTH: str(len(head))}


def _scores(answers: Answers, model: ServedModel) -> tuple[dict[str, Any], bytes]:
    assert answers.scores is not None, "an oracle that promises scores gives them"
    values = answers.scores.numpy().astype("<f4", copy=False)
    return (
        {
            "name": model.output,
            "datatype": "FP32",
            "shape": list(values.shape),
            "data": values.reshape(-1).tolist(),
        },
        values.tobytes(),
    )


def _names(answers: Answers, model: ServedModel) -> tuple[dict[str, Any], bytes]:
    names = [model.spec.classes.name(number) for number in answers.labels.tolist()]
    raw = [name.encode() for name in names]
    return (
        {"name": model.output, "datatype": "BYTES", "shape": [len(names)], "data": names},
        b"".join(len(name).to_bytes(4, "little") + name for name in raw),
    )
