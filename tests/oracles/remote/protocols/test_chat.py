"""Language models that are asked which label fits: requests, replies, and what counts as no label."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from PIL import Image

from oracles import AnswerError, Feedback, SpecError
from oracles.oracle import NONE_OF_THESE, REFUSAL
from oracles.remote.messages import Request
from oracles.remote.opening import PROTOCOLS
from oracles.remote.protocols import bedrock
from oracles.remote.wire_protocol import TellingUsage, WireProtocol
from oracles.usage import Usage
from tests.oracles.remote.protocols.chat_messages import CUT, IDENTITY, REFUSED, REPLIES, URLS
from tests.oracles.remote.protocols.wire import TWO_GREY, body, connected, json_reply

QUESTION = "Which of these labels fits the image best? Answer with exactly one of them, nothing else: cat, dog"


def chat(protocol: str, options: Mapping[str, object] | None = None, url: str | None = None) -> WireProtocol:
    return connected(protocol, url or URLS[protocol], {"model": "m:1/x", "labels": "cat,dog"} | dict(options or {}))


def message(protocol: str, request: Request) -> tuple[str, str, dict[str, Any]]:
    """Picture (base64), question and settings of a request."""
    tree = body(request)
    if protocol == "gemini":
        image, text = tree["contents"][0]["parts"]
        return image["inlineData"]["data"], text["text"], tree["generationConfig"]
    (said,) = tree["messages"]
    if protocol == "ollama":
        return said["images"][0], said["content"], tree["options"]
    image, text = said["content"]
    source = image["image"]["source"]["bytes"] if protocol == "bedrock" else image["source"]["data"]
    return source, text["text"], tree.get("inferenceConfig", tree)


@pytest.mark.parametrize(
    ("protocol", "url", "settings"),
    [
        ("anthropic", "/v1/messages", {"temperature": 0.0, "max_tokens": 32}),
        ("gemini", "/v1beta/models/m:1/x:generateContent", {"temperature": 0.0, "maxOutputTokens": 32, "seed": 0}),
        ("ollama", "/api/chat", {"temperature": 0.0, "num_predict": 32, "seed": 0}),
        ("bedrock", "/model/m%3A1%2Fx/converse", {"temperature": 0.0, "maxTokens": 32}),
    ],
)
def test_a_picture_and_a_question_are_sent(protocol: str, url: str, settings: dict[str, object]) -> None:
    asked = chat(protocol)
    request = asked.request(TWO_GREY[:1])
    picture, question, found = message(protocol, request)
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture, validate=True))))
    assert pixels.tolist() == TWO_GREY[0, 0].tolist()
    assert question == QUESTION
    assert settings.items() <= found.items()
    assert (request.method, request.url) == ("POST", URLS[protocol] + url)
    assert request == asked.request(TWO_GREY[:1].clone()), "equal images give equal requests"
    assert (asked.spec.feedback, asked.spec.max_batch, asked.spec.eight_bit) == (Feedback.LABELS, 1, True)


@pytest.mark.parametrize("protocol", REPLIES)
@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("cat", "cat"),
        (' "Dog." \n', "dog"),
        ("<think>a dog?</think> cat", "cat"),
        ("It is a cat or a dog.", NONE_OF_THESE),
        ("bird", NONE_OF_THESE),
    ],
)
def test_what_a_model_says_becomes_a_label(protocol: str, text: str, label: str) -> None:
    asked = chat(protocol)
    reply = json_reply(REPLIES[protocol](text))
    parsed = asked.parse(reply, images=1)
    assert asked.spec.classes.name(int(parsed.answers.labels)) == label
    assert parsed.identity == IDENTITY[protocol]
    assert isinstance(asked, TellingUsage)
    assert asked.usage(reply) == Usage(120, 4)


def test_thoughts_of_gemini_are_tokens_that_it_wrote() -> None:
    reply = REPLIES["gemini"]("cat")
    reply["usageMetadata"] |= {"thoughtsTokenCount": 40, "totalTokenCount": 164}
    asked = chat("gemini")
    assert isinstance(asked, TellingUsage)
    assert asked.usage(json_reply(reply)) == Usage(120, 44)


@pytest.mark.parametrize("protocol", REFUSED)
def test_a_refusal_is_a_vote_for_no_label(protocol: str) -> None:
    asked = chat(protocol)
    for text in ("", "cat"):
        parsed = asked.parse(json_reply(REPLIES[protocol](text, REFUSED[protocol])), images=1)
        assert asked.spec.classes.name(int(parsed.answers.labels)) == REFUSAL


def test_gemini_refuses_a_prompt_without_any_candidate() -> None:
    asked = chat("gemini")
    parsed = asked.parse(json_reply({"promptFeedback": {"blockReason": "SAFETY"}}), images=1)
    assert asked.spec.classes.name(int(parsed.answers.labels)) == REFUSAL


@pytest.mark.parametrize("protocol", REPLIES)
def test_tokens_that_end_too_soon_are_said(protocol: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with pytest.raises(AnswerError, match="its tokens ended before an answer; raise max_tokens"):
        chat(protocol).parse(json_reply(REPLIES[protocol]("", CUT[protocol])), images=1)
    chat(protocol).parse(json_reply(REPLIES[protocol]("The picture shows", CUT[protocol])), images=1)
    assert "raise max_tokens" in caplog.text
    assert "The picture" not in caplog.text


@pytest.mark.parametrize("protocol", REPLIES)
@pytest.mark.parametrize(
    "tree",
    [{}, [], {"content": 3}, {"error": "x"}, {"candidates": [3]}, {"candidates": []}, {"message": {}}, {"output": {}}],
)
def test_another_form_is_no_answer(protocol: str, tree: object) -> None:
    with pytest.raises(AnswerError):
        chat(protocol).parse(json_reply(tree), images=1)


@pytest.mark.parametrize("protocol", ["gemini", "ollama"])
def test_a_model_can_be_held_to_the_list(protocol: str) -> None:
    asked = chat(protocol, {"structured": "true"})
    tree = body(asked.request(TWO_GREY[:1]))
    schema = tree["format"] if protocol == "ollama" else tree["generationConfig"]["responseSchema"]
    assert schema["properties"]["label"]["enum"] == ["cat", "dog"]
    for text, label in {'{"label": "dog"}': "dog", '{"label": 3}': NONE_OF_THESE, "cat": "cat"}.items():
        parsed = asked.parse(json_reply(REPLIES[protocol](text)), images=1)
        assert asked.spec.classes.name(int(parsed.answers.labels)) == label


@pytest.mark.parametrize("protocol", URLS)
def test_what_is_left_to_the_server_is_not_sent(protocol: str) -> None:
    asked = chat(protocol, {"temperature": "none"} | ({} if protocol == "anthropic" else {"max_tokens": "none"}))
    assert "temperature" not in message(protocol, asked.request(TWO_GREY[:1]))[2]
    assert asked.spec.fingerprint != chat(protocol).spec.fingerprint


@pytest.mark.parametrize("protocol", URLS)
def test_labels_and_a_model_are_needed(protocol: str) -> None:
    with pytest.raises(SpecError, match="say which labels the model may answer with"):
        connected(protocol, URLS[protocol], {"model": "m"})
    with pytest.raises(SpecError, match="needs the option model"):
        connected(protocol, URLS[protocol], {"labels": "a,b"})


def test_addresses_of_vertex_ai_and_gateways_are_kept() -> None:
    vertex = "https://eu-aiplatform.example.org/v1/projects/p/locations/l/publishers/google"
    request = chat("gemini", {"model": "g"}, vertex).request(TWO_GREY[:1])
    assert request.url == f"{vertex}/models/g:generateContent"
    assert chat("anthropic", url="https://gate.example.org/v1").request(TWO_GREY[:1]).url == (
        "https://gate.example.org/v1/messages"
    )
    assert bedrock.locate("us-east-1") == "https://bedrock-runtime.us-east-1.amazonaws.com"
    with pytest.raises(SpecError, match="needs a region"):
        bedrock.locate("")


def test_bedrock_is_asked_as_amazons_own_library_asks() -> None:
    session = pytest.importorskip("botocore.session")
    from botocore.awsrequest import AWSResponse
    from botocore.parsers import create_parser

    client = session.Session().create_client(
        "bedrock-runtime", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    request = chat("bedrock").request(TWO_GREY[:1])
    tree = body(request)
    source = tree["messages"][0]["content"][0]["image"]["source"]
    source["bytes"] = base64.b64decode(source["bytes"])
    seen: list[Any] = []

    def intercept(request: Any, **rest: object) -> AWSResponse:
        seen.append(request)
        return AWSResponse(request.url, 200, {}, None)

    client.meta.events.register("before-send", intercept)
    try:
        client.converse(modelId="m:1/x", **tree)
    except AttributeError:  # there is no reply
        assert seen
    assert (seen[0].method, seen[0].url) == (request.method, request.url)
    assert json.loads(seen[0].body) == body(request)
    shape = client.meta.service_model.operation_model("Converse").output_shape
    raw = {"status_code": 200, "headers": {}, "body": json_reply(REPLIES["bedrock"]("cat")).body}
    parsed = create_parser("rest-json").parse(raw, shape)
    assert parsed["output"]["message"]["content"] == [{"text": "cat"}]
    assert parsed["stopReason"] == "end_turn"


def test_every_chat_protocol_is_tested_here() -> None:
    chats = {name for name, protocol in PROTOCOLS.items() if "prompt" in protocol.options.__dataclass_fields__}
    assert chats - {"openai", "replicate"} == URLS.keys()
