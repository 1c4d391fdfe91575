"""From bodies to images: every form gives the same bits, and what is no question is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from bbsmooth.serving.model import ServedModel
from bbsmooth.serving.refusal import Refusal
from bbsmooth.serving.requests import read_request
from tests.bbsmooth.serving.running import question
from tests.builders import spec

MODEL = ServedModel("model", spec(3, image_shape=(1, 2, 2)), 4)
FLOATS = np.random.default_rng(0).normal(0.5, 1, (3, 1, 2, 2)).astype(np.float32)
BYTES = np.random.default_rng(0).integers(0, 256, (3, 1, 2, 2), dtype=np.uint8)


def read(envelope: Any, rest: bytes = b"") -> Any:
    head = json.dumps(envelope).encode()
    return read_request(head + rest, str(len(head)) if rest else None, MODEL)


def binary(array: np.ndarray[Any, Any], datatype: str, **more: Any) -> Any:
    tensor = {
        "name": "images",
        "shape": list(array.shape),
        "datatype": datatype,
        "parameters": {"binary_data_size": array.nbytes},
    }
    return read({"inputs": [tensor]} | more, array.tobytes())


@pytest.mark.parametrize(
    ("array", "datatype"), [(FLOATS, "FP32"), (FLOATS.astype(np.float16), "FP16"), (BYTES, "UINT8")]
)
def test_pixels_arrive_bit_for_bit(array: np.ndarray[Any, Any], datatype: str) -> None:
    expected = torch.from_numpy(array if datatype == "UINT8" else array.astype(np.float32))
    flat = question(array, datatype=datatype)
    nested = question(array, datatype=datatype)
    nested["inputs"][0]["data"] = array.tolist()
    for asked in (read(flat), read(nested), binary(array, datatype)):
        assert asked.images.dtype == expected.dtype
        assert torch.equal(asked.images, expected)


def test_what_else_a_request_may_hold() -> None:
    asked = read(question(FLOATS, id="a", parameters={"binary_data_output": True}))
    assert (asked.request_id, asked.wanted) == ("a", {"probabilities": True})
    asked = read(question(FLOATS, outputs=[{"name": "probabilities", "parameters": {"binary_data": True}}]))
    assert (asked.request_id, asked.wanted) == (None, {"probabilities": True})
    asked = read(question(FLOATS, id=None, parameters=None, outputs=None))  # as some clients write what is not there
    assert (asked.request_id, asked.wanted) == (None, {"probabilities": False})


def changed(**tensor: Any) -> dict[str, Any]:
    envelope = question(FLOATS)
    envelope["inputs"][0] |= tensor
    return envelope


@pytest.mark.parametrize(
    ("envelope", "message"),
    [
        ([], "the request should be a JSON object"),
        ({}, "takes one input tensor"),
        ({"inputs": []}, "takes one input tensor"),
        ({"inputs": [1]}, "the input should be a JSON object"),
        (changed(name="pixels"), "should be named 'images', got 'pixels'"),
        (changed(datatype="FP64"), "datatype should be one of FP32, FP16, UINT8, got 'FP64'"),
        (changed(datatype="UINT8"), "a list of whole numbers"),
        (question([[[[0, 1], [2, 256]]]], datatype="UINT8"), "between 0 and 255"),
        (question([[[[0, 1], [2, -1]]]], datatype="UINT8"), "between 0 and 255"),
        (changed(shape=[1, 1, 2, 2]), "needs 4 values, got 12"),
        (changed(shape=[3, 1, 4]), "needs images of shape (batch, 1, 2, 2), got (3, 1, 4)"),
        (changed(shape=[3, 1, 4, 1]), "needs images of shape"),
        (changed(shape=[-1, 1, 2, 2]), "positive whole numbers"),
        (changed(shape=[0, 1, 2, 2], data=[]), "positive whole numbers"),
        (changed(shape="3"), "positive whole numbers"),
        (changed(shape=None), "positive whole numbers"),
        (changed(shape=[10**4000] * 4), "positive whole numbers below 2**31"),
        (changed(shape=[2**31 - 1] * 4), "values, got 12"),
        (changed(data=["a"] * 12), "a list of numbers"),
        (changed(data=[[1, 2], [3]]), "flat or nested"),
        (changed(data={"a": 1}), "a list of numbers"),
        (changed(data=[True] * 12), "a list of numbers"),
        (changed(data=[10**400] * 12), "a list of numbers"),
        (changed(data=[1e300] * 12), "finite FP32 number"),
        (changed(datatype="FP16", data=[1e5] * 12), "finite FP16 number"),
        (changed(parameters={"binary_data_size": 48}), "either data or"),
        (changed(parameters=[1]), "parameters should be a JSON object"),
        (question(np.zeros((5, 1, 2, 2))), "at most 4 images a request, got 5"),
        (question(FLOATS, id=7), "id should be a string"),
        (question(FLOATS, outputs=[{"name": "logits"}]), "named 'probabilities', got 'logits'"),
        (question(FLOATS, outputs=[{"name": "probabilities"}] * 2), "one output tensor"),
        (question(FLOATS, outputs={"name": "probabilities"}), "one output tensor"),
        (question(FLOATS, parameters={"binary_data_output": 1}), "true or false"),
    ],
)
def test_a_malformed_request_is_refused_in_one_line(envelope: Any, message: str) -> None:
    with pytest.raises(Refusal) as refused:
        read(envelope)
    assert refused.value.status == 400
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"inputs": NaN}', b"[" * 10_000])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal, match="the request is not JSON"):
        read_request(body, None, MODEL)


@pytest.mark.parametrize("unit", ["[],", "[[0]],", "{},"])
def test_a_thicket_is_refused_before_it_is_parsed(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    body = f'{{"inputs": [{unit * 20_000}[]]}}'.encode()
    monkeypatch.setattr(json, "loads", lambda *values, **options: pytest.fail("it was parsed"))
    with pytest.raises(Refusal, match="at most 4 images a request, for which 10016 lists and objects are enough"):
        read_request(body, None, MODEL)


@pytest.mark.parametrize(
    ("size", "rest", "message"),
    [
        (48, FLOATS.tobytes()[:-1], "binary_data_size is 48, but 47 bytes follow"),
        (47, FLOATS.tobytes()[:-1], "binary_data_size is 47, but 47 bytes follow, 4 a value"),
        ("48", FLOATS.tobytes(), "binary_data_size is '48'"),
        (44, FLOATS.tobytes()[:-4], "needs 12 values, got 11"),
        (48, np.full(12, np.nan, np.float32).tobytes(), "finite FP32 number"),
    ],
)
def test_binary_tensors_are_checked_too(size: Any, rest: bytes, message: str) -> None:
    envelope = changed(parameters={"binary_data_size": size})
    del envelope["inputs"][0]["data"]
    with pytest.raises(Refusal) as refused:
        read(envelope, rest)
    assert message in str(refused.value)


def test_the_length_of_the_json_is_checked() -> None:
    body = json.dumps(question(FLOATS)).encode()
    for length in ("-1", "many", str(len(body) + 1), "9" * 5000):
        with pytest.raises(Refusal, match="should be a number up to the body's"):
            read_request(body, length, MODEL)
    with pytest.raises(Refusal, match="2 bytes follow the JSON"):
        read_request(body + b"ab", str(len(body)), MODEL)


@pytest.mark.parametrize("datatype", ["FP32", "FP16"])
@pytest.mark.parametrize(
    "pixels",
    [BYTES.astype(np.float32), BYTES.astype(np.float32) / 2 + 20.3, np.full((1, 1, 2, 2), 2, np.float32)],
    ids=["whole", "resized", "dark"],
)
def test_floats_that_count_grey_levels_are_refused_and_not_clipped(pixels: np.ndarray[Any, Any], datatype: str) -> None:
    with pytest.raises(
        Refusal, match="white is 1 in FP.. pixels, and these reach .*; divide them by 255, or send UINT8"
    ):
        read(question(pixels, datatype=datatype))


@pytest.mark.parametrize(
    "pixels", [np.eye(2)[None, None], np.zeros((1, 1, 2, 2)), 0.5 + 30 * FLOATS - FLOATS.mean() * 30]
)
def test_binary_images_and_noise_are_taken(pixels: np.ndarray[Any, Any]) -> None:
    assert torch.equal(read(question(pixels)).images, torch.from_numpy(pixels.astype(np.float32)))
