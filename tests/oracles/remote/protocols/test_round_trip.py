"""Random images, through each protocol's request, and back by a decoder that is not ours: not a bit may be lost."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from bbsmooth.noise import Gaussian, Grid
from bbsmooth.randomness import Stream
from oracles.remote.messages import Reply, Request
from tests.oracles.remote.protocols.wire import connected
from tests.oracles.remote.test_image_encoding import decoded, random_images

DTYPES = {"FP64": "<f8", "FP32": "<f4", "FP16": "<f2", "UINT8": "u1"}
KSERVE = "http://h/v2/models/m"
TFSERVING = "http://h/v1/models/m"
TORCHSERVE = "http://h/predictions/m"


def kserve_tensor(request: Request) -> NDArray[Any]:
    """The input tensor of an inference request, as a server reads it."""
    length = request.headers.get("Inference-Header-Content-Length")
    end = len(request.body) if length is None else int(length)
    (tensor,) = json.loads(request.body[:end])["inputs"]
    dtype = np.dtype(DTYPES[tensor["datatype"]])
    if length is None:
        return np.array(tensor["data"], dtype=np.float64).astype(dtype).reshape(tensor["shape"])
    assert tensor["parameters"]["binary_data_size"] == len(request.body) - end
    return np.frombuffer(request.body[end:], dtype).reshape(tensor["shape"])


def batches() -> Iterator[Tensor]:
    """Images as the noise makes them: 8-bit ones, floats on a finer grid that leave the range, and the extremes."""
    for seed, channels in enumerate((1, 3)):
        image = random_images(1, channels, 5, 7, seed=seed)[0]
        stream = Stream(bytes([seed]) * 32)
        yield Grid(0).noisy(image, Gaussian(0.5), stream, first=0, count=4)
        yield Grid(1).noisy(image, Gaussian(0.5), stream, first=0, count=4)
        yield torch.stack([torch.zeros_like(image), torch.full_like(image, 255)])


BATCHES = list(batches())


@pytest.mark.parametrize("binary", [False, True], ids=["json", "bytes"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "flat"])
@pytest.mark.parametrize("datatype", DTYPES)
def test_tensors_arrive_as_they_were(datatype: str, layout: str, binary: bool) -> None:
    options = {"num_classes": 3, "datatype": datatype, "layout": layout, "binary": binary}
    protocol = connected("kserve", KSERVE, options, {KSERVE: {}, f"{KSERVE}/ready": Reply(200)})
    for images in BATCHES:
        pixels = images.float() / 255 if images.dtype == torch.uint8 else images.clamp(0, 1)
        expected = pixels.to({"FP64": torch.float64, "FP16": torch.float16}.get(datatype, torch.float32))
        if datatype == "UINT8":
            expected = images if images.dtype == torch.uint8 else (pixels * 255).round().to(torch.uint8)
        found = kserve_tensor(protocol.request(images))
        if layout == "NHWC":
            found = found.transpose(0, 3, 1, 2)
        assert found.reshape(expected.shape).tobytes() == expected.numpy().tobytes()


def google(request: Request) -> list[bytes]:
    return [base64.b64decode(one["image"]["content"], validate=True) for one in json.loads(request.body)["requests"]]


def clarifai(request: Request) -> list[bytes]:
    inputs = json.loads(request.body)["inputs"]
    return [base64.b64decode(one["data"]["image"]["base64"], validate=True) for one in inputs]


def rekognition(request: Request) -> list[bytes]:
    return [base64.b64decode(json.loads(request.body)["Image"]["Bytes"], validate=True)]


def openai(request: Request) -> list[bytes]:
    (message,) = json.loads(request.body)["messages"]
    (part,) = [part for part in message["content"] if part["type"] == "image_url"]
    head, _, text = part["image_url"]["url"].partition(",")
    assert head == "data:image/png;base64"
    return [base64.b64decode(text, validate=True)]


def raw(request: Request) -> list[bytes]:
    return [request.body]


def tfserving(request: Request) -> list[bytes]:
    return [base64.b64decode(one["b64"], validate=True) for one in json.loads(request.body)["instances"]]


def template(request: Request) -> list[bytes]:
    return [base64.b64decode(one["i"], validate=True) for one in json.loads(request.body)["images"]]


TEMPLATE = {
    "request": {"body": {"images": [{"i": "{image:png-base64}"}]}, "many": True},
    "response": {"answers": "@", "labels": "@"},
}
PICTURES: dict[str, tuple[str, Mapping[str, object], Callable[[Request], list[bytes]]]] = {
    "googlevision": ("https://h", {}, google),
    "clarifai": ("https://h/models/m", {}, clarifai),
    "rekognition": ("https://h", {}, rekognition),
    "openai": ("https://h/v1", {"model": "m", "labels": "a,b"}, openai),
    "huggingface": ("https://h", {}, raw),
    "azurevision": ("https://h", {}, raw),
    "customvision": ("https://h/classify/iterations/i", {}, raw),
    "torchserve": (TORCHSERVE, {"content": "picture", "num_classes": 2}, raw),
    "tfserving": (TFSERVING, {"as_picture": True, "num_classes": 2}, tfserving),
    "template": ("https://h", TEMPLATE, template),
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_arrive_as_they_were(name: str) -> None:
    url, options, decode = PICTURES[name]
    protocol = connected(name, url, options, {TFSERVING: {"name": "m"}})
    assert protocol.spec.eight_bit
    for batch in BATCHES:
        for images in torch.split(batch, protocol.spec.max_batch or 1):
            files = decode(protocol.request(images))
            wanted = images if images.dtype == torch.uint8 else (images.clamp(0, 1) * 255).round().to(torch.uint8)
            assert len(files) == len(images)
            for file, image in zip(files, wanted, strict=True):
                assert (
                    decoded(file).reshape(*image.shape[1:], -1).transpose(2, 0, 1).tobytes() == image.numpy().tobytes()
                )


@pytest.mark.parametrize(
    ("name", "url", "options", "member"),
    [
        ("torchserve", TORCHSERVE, {"key": "data"}, "data"),
        ("tfserving", TFSERVING, {"layout": "NCHW"}, "instances"),
        ("tfserving", TFSERVING, {"layout": "NCHW", "columns": True}, "inputs"),
        ("template", "https://h", {"request": {"body": {"x": ["{image:nested-list}"]}, "many": True}}, "x"),
    ],
)
def test_lists_arrive_as_they_were(name: str, url: str, options: dict[str, object], member: str) -> None:
    if name == "template":
        options = options | {"response": {"answers": "@", "scores": "@"}}
    protocol = connected(name, url, {"num_classes": 3, **options}, {TFSERVING: {"name": "m"}})
    for images in BATCHES:
        pixels = images.float() / 255 if images.dtype == torch.uint8 else images.clamp(0, 1)
        found = np.array(json.loads(protocol.request(images).body)[member], dtype=np.float64).astype(np.float32)
        assert found.shape == pixels.shape
        assert found.tobytes() == pixels.numpy().tobytes()
