"""From answers to the body of an inference reply; numbers keep every bit in both forms."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bbsmooth.serving.model import ServedModel
from bbsmooth.serving.requests import HEADER_LENGTH
from oracles import Answers


@dataclass(frozen=True, slots=True)
class OutputTensor:
    """A tensor of a reply.

    Attributes:
        name: of it.
        datatype: in the protocol's words.
        shape: of it.
        data: values, flat, as JSON has them.
        raw: the same as bytes, little-endian.
    """

    name: str
    datatype: str
    shape: list[int]
    data: list[Any]
    raw: bytes

    @classmethod
    def numbers(cls, name: str, datatype: str, values: NDArray[Any]) -> OutputTensor:
        """From an array of the right type, little-endian."""
        return cls(name, datatype, list(values.shape), values.reshape(-1).tolist(), values.tobytes())

    @classmethod
    def texts(cls, name: str, texts: Sequence[str], shape: Sequence[int] | None = None) -> OutputTensor:
        """From names, flat."""
        encoded = [text.encode() for text in texts]
        raw = b"".join(len(text).to_bytes(4, "little") + text for text in encoded)
        return cls(name, "BYTES", list(shape or (len(texts),)), list(texts), raw)


def write_reply(
    answers: Answers, model: ServedModel, *, request_id: str | None, binary: bool
) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a reply to a bare oracle's client.

    JSON numbers are the shortest that name the float32 as a double, so that reading them gives the same float32 back.

    Args:
        answers: one an image.
        model: that gave them.
        request_id: to be repeated, None where there is none.
        binary: whether the tensor follows the JSON as little-endian bytes.
    """
    tensor = _scores(answers, model) if model.scored else _names(answers, model)
    return write_tensors([tensor], {tensor.name: binary}, envelope(model.name, model.version, request_id))


def envelope(name: str, version: str, request_id: str | None) -> dict[str, Any]:
    """Entries of a reply besides its tensors."""
    return {"model_name": name, "model_version": version} | ({} if request_id is None else {"id": request_id})


def write_tensors(
    tensors: Sequence[OutputTensor], wanted: Mapping[str, bool], around: dict[str, Any]
) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a reply.

    Args:
        tensors: that there are.
        wanted: names of those to send, and whether each follows the JSON as bytes.
        around: the reply without tensors.
    """
    outputs, tail = list[dict[str, Any]](), list[bytes]()
    for tensor in tensors:
        if tensor.name in wanted:
            outputs.append({"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape})
            if wanted[tensor.name]:
                outputs[-1]["parameters"] = {"binary_data_size": len(tensor.raw)}
                tail.append(tensor.raw)
            else:
                outputs[-1]["data"] = tensor.data
    head = json.dumps(around | {"outputs": outputs}).encode()
    if not tail:
        return head, {"content-type": "application/json"}
    return b"".join([head, *tail]), {"content-type": "application/octet-stream", HEADER_LENGTH: str(len(head))}


def _scores(answers: Answers, model: ServedModel) -> OutputTensor:
    assert answers.scores is not None, "an oracle that promises scores gives them"
    return OutputTensor.numbers(model.output, "FP32", answers.scores.numpy().astype("<f4", copy=False))


def _names(answers: Answers, model: ServedModel) -> OutputTensor:
    return OutputTensor.texts(model.output, [model.spec.classes.name(number) for number in answers.labels.tolist()])


def int64(values: Sequence[Any]) -> NDArray[np.int64]:
    """Whole numbers as they are sent."""
    return np.array(values, dtype="<i8")


def float64(values: Sequence[float]) -> NDArray[np.float64]:
    """Numbers as they are sent."""
    return np.array(values, dtype="<f8")
