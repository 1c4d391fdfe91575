"""Recorded messages of the named schemes: a request is what it was, byte for byte, and a reply means what it meant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest

from oracles.oracle import REFUSAL
from oracles.remote.wire_protocol import WireProtocol
from tests.oracles.remote.protocols.wire import TWO_GREY, connected, recorded_reply, recorded_request

CHAT = {"model": "m-1", "labels": "cat,dog"}
HANDLED = {"labels": "cat,dog"}
SAGEMAKER = "https://runtime.sagemaker.eu-west-1.amazonaws.com/endpoints/digits/invocations"
VERTEX = "https://l-aiplatform.googleapis.com/v1/projects/p/locations/l/endpoints/1:predict"


@dataclass(frozen=True)
class Recorded:
    """A request and the reply to it.

    Attributes:
        protocol: that they are of.
        url: that was asked.
        options: of the oracle.
        names: of the classes that the reply gives each image.
        scores: of the first image's classes, by name; empty where it gives none.
        identity: of the model, as the reply tells it.
    """

    protocol: str
    url: str
    options: Mapping[str, object]
    names: tuple[str, ...]
    scores: Mapping[str, float] = field(default_factory=dict)
    identity: Mapping[str, str] = field(default_factory=dict)

    def connected(self) -> WireProtocol:
        """The protocol."""
        return connected(self.protocol, self.url, self.options)


CASES = {
    "anthropic": Recorded(
        "anthropic", "https://api.anthropic.com", CHAT, ("dog",), identity={"model": "claude-test-1"}
    ),
    "gemini": Recorded(
        "gemini", "https://generativelanguage.googleapis.com", CHAT | {"structured": "true"}, ("dog",),
        identity={"version": "gemini-test-1"},
    ),
    "gemini-blocked": Recorded("gemini", "https://generativelanguage.googleapis.com", CHAT, (REFUSAL,)),
    "bedrock": Recorded("bedrock", "https://bedrock-runtime.eu-west-1.amazonaws.com", CHAT, ("cat",)),
    "ollama": Recorded(
        "ollama", "http://127.0.0.1:11434", CHAT | {"structured": "true"}, ("dog",), identity={"model": "llava-test"}
    ),
    "replicate": Recorded(
        "replicate", "https://api.replicate.com/v1/models/o/n/predictions", HANDLED | {"inputs": "top_p:0.5"},
        ("dog",), identity={"version": "v7"},
    ),
    "sagemaker": Recorded("sagemaker", SAGEMAKER, HANDLED, ("dog", "cat"), {"cat": 0.25, "dog": 0.75}),
    "sagemaker-csv": Recorded(
        "sagemaker", SAGEMAKER, HANDLED | {"content": "csv", "many": "false", "reply_key": "none"}, ("dog",),
        {"cat": 0.25, "dog": 0.75},
    ),
    "vertexai": Recorded(
        "vertexai", VERTEX, {}, ("dog",), {"dog": 0.75, "cat": 0.25}, {"model": "77", "version": "3"}
    ),
    "azureml": Recorded(
        "azureml", "https://e.eastus.inference.ml.azure.com/score", {}, ("dog",), {"dog": 0.75, "cat": 0.25}
    ),
    "roboflow": Recorded("roboflow", "https://classify.roboflow.com/pets/2", {}, ("dog",), {"dog": 0.75, "cat": 0.125}),
    "litserve": Recorded(
        "litserve", "http://h:8000/predict", HANDLED | {"many": "true"}, ("dog", "cat"), {"cat": 0.25, "dog": 0.75}
    ),
    "litserve-upload": Recorded(
        "litserve", "http://h:8000/predict", HANDLED | {"content": "upload", "key": "content"}, ("cat",),
        {"cat": 0.75, "dog": 0.25},
    ),
    "bentoml": Recorded(
        "bentoml", "http://h:3000/classify", HANDLED | {"content": "json", "many": "true", "key": "images"},
        ("dog", "cat"), {"cat": 0.25, "dog": 0.75},
    ),
    "gradio": Recorded(
        "gradio", "http://h:7860/gradio_api/call/classify", {}, ("dog",), {"dog": 0.75, "cat": 0.25}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_request_is_the_recorded_one(name: str) -> None:
    protocol, expected = CASES[name].connected(), recorded_request(name)
    request = protocol.request(TWO_GREY[: protocol.spec.max_batch])
    assert (replace(request, identifier=""), request.body) == (expected, expected.body)


@pytest.mark.parametrize("name", CASES)
def test_a_recorded_reply_means_what_it_meant(name: str) -> None:
    case = CASES[name]
    protocol = case.connected()
    parsed = protocol.parse(recorded_reply(name), images=len(case.names))
    classes = protocol.spec.classes
    assert tuple(map(classes.name, parsed.answers.labels.tolist())) == case.names
    assert case.identity.items() <= parsed.identity.items()
    if case.scores:
        assert parsed.answers.scores is not None
        first = dict(zip(classes.names, parsed.answers.scores[0].tolist(), strict=True))
        assert {label: first[label] for label in case.scores} == pytest.approx(case.scores)
    else:
        assert parsed.answers.scores is None
