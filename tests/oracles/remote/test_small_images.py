"""Small images at services that refuse them or bill them as larger ones."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from oracles import SpecError
from oracles.registry import open_oracle
from oracles.remote.image_encoding import Picture, PictureFormat
from oracles.remote.remote import RemoteOracle
from oracles.remote.small_images import SmallImages
from tests.bbsmooth.cli.world import bbsmooth
from tests.oracles.remote.batches.vendor import Vendor
from tests.oracles.remote.test_image_encoding import decoded

LABELS = "labels=cat,dog"


def opened(name: str) -> RemoteOracle:
    oracle = open_oracle(name)
    assert isinstance(oracle, RemoteOracle)
    return oracle


@pytest.mark.parametrize("channels", [1, 3])
def test_each_pixel_is_shown_as_a_square(channels: int) -> None:
    images = torch.randint(0, 256, (2, channels, 3, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for file, image in zip(Picture(upscale=4).files(images), images, strict=True):
        shown = decoded(file).reshape(12, 20, channels)
        pixels = image.permute(1, 2, 0).numpy()
        assert all(np.array_equal(shown[y::4, x::4], pixels) for y in range(4) for x in range(4))


def test_the_scale_is_part_of_the_classifier() -> None:
    plain, twice = Picture(), Picture(upscale=2)
    assert plain.identity == "PNG as-they-are"  # as ever: old runs go on
    assert twice.identity != plain.identity
    assert twice.description == "PNG, each pixel 2 x 2 times"
    assert Picture(PictureFormat.JPEG, upscale=2).identity != Picture(PictureFormat.JPEG).identity
    names = [f"anthropic+http://127.0.0.1:9?model=m&{LABELS}{scale}" for scale in ("", "&upscale=1", "&upscale=2")]
    bare, one, two = (opened(name).spec.fingerprint for name in names)
    assert bare == one != two


@pytest.mark.parametrize(
    "name",
    [
        "litserve+http://127.0.0.1:9/predict?num_classes=2&content=upload&key=image",
        "litserve+http://127.0.0.1:9/predict?num_classes=2&content=base64",
        "bentoml+http://127.0.0.1:9/predict?num_classes=2&content=picture&format=jpeg",
        f"gradio+http://127.0.0.1:9/gradio_api/call/predict?{LABELS}",
        f"azureml+http://127.0.0.1:9/score?{LABELS}",
        f"roboflow+http://127.0.0.1:9/p/1?{LABELS}",
    ],
)
def test_every_protocol_of_pictures_shows_them_in_their_scale(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = list[tuple[int, ...]]()
    encode = Picture.files

    def watched(picture: Picture, images: torch.Tensor) -> list[bytes]:
        found = encode(picture, images)
        shapes.extend(decoded(file).shape[:2] for file in found)
        return found

    monkeypatch.setattr(Picture, "files", watched)
    bare, one, two = (opened(name + scale) for scale in ("", "&upscale=1", "&upscale=2"))
    assert bare.spec.fingerprint == one.spec.fingerprint != two.spec.fingerprint
    for oracle in (bare, two):
        oracle.protocol.request(torch.zeros(1, 3, 4, 5, dtype=torch.uint8))
    assert shapes == [(4, 5), (8, 10)]


@pytest.mark.parametrize("scale", [0, 65])
def test_a_scale_out_of_range_is_refused(scale: int) -> None:
    with pytest.raises(SpecError, match="upscale should be between 1 and 64"):
        Picture(upscale=scale)


def test_a_size_is_told_where_it_matters() -> None:
    small = SmallImages(below=51, says="too small", refused=True)
    assert small.note(51, 300) == ""
    assert small.note(50, 300).startswith("images are shown as 50 x 300 pixels: too small; say upscale=NUMBER")
    assert SmallImages(below=51, says="dear").note(50, 50) == "images are shown as 50 x 50 pixels: dear"


@pytest.mark.parametrize(
    ("name", "shape", "said", "refused"),
    [
        ("azurevision+https://x.cognitiveservices.azure.com", 32, "larger than 50 x 50", True),
        ("azurevision+https://x.cognitiveservices.azure.com?upscale=2", 32, "", False),
        (f"openai+https://api.openai.com/v1?model=m&{LABELS}", 32, "whole tiles", False),
        (f"openai+http://127.0.0.1:9/v1?model=m&{LABELS}", 32, "", False),
        (f"anthropic+https://api.anthropic.com?model=m&{LABELS}", 199, "an edge is below 200", False),
        (f"anthropic+https://api.anthropic.com?model=m&{LABELS}", 200, "", False),
        (f"gemini+https://generativelanguage.googleapis.com?model=m&{LABELS}", 384, "one tile", False),
        ("googlevision:", 32, "at least 640 x 480", False),
    ],
)
def test_what_a_service_says_of_small_images(
    monkeypatch: pytest.MonkeyPatch, name: str, shape: int, said: str, refused: bool
) -> None:
    monkeypatch.setenv("AZURE_VISION_KEY", "key-of-a-test")
    monkeypatch.setenv("GOOGLE_API_KEY", "key-of-a-test")
    note, is_refused = opened(name).note_on_size((3, shape, shape))
    assert (said in note, bool(note), is_refused) == (True, bool(said), refused)


def test_a_check_tells_it_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_VISION_KEY", "key-of-a-test")
    done = bbsmooth("oracle", "check", "azurevision+http://127.0.0.1:9?image_shape=3x32x32")
    assert done.status == 2
    assert done.line.startswith(
        "error: images are shown as 32 x 32 pixels: Azure AI Vision takes those that are larger"
    )


def test_a_check_goes_on_where_small_images_are_only_dear() -> None:
    with Vendor().running() as vendor:
        done = bbsmooth("oracle", "check", vendor.oracle("anthropic"), "--budget", 12, "--json")
    assert done.status == 0
    first, second = done.err.splitlines()[:2]
    assert first.startswith("images are shown as 4 x 4 pixels: Anthropic says")
    assert second.startswith("asks anthropic+http://127.0.0.1")
    assert json.loads(done.out)["queries"] <= 12
