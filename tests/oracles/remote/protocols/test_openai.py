from __future__ import annotations

import json
from typing import Any

import pytest

from oracles import AnswerError, Feedback, SpecError
from oracles.oracle import NONE_OF_THESE, REFUSAL
from oracles.remote.wire_protocol import WireProtocol
from tests.oracles.remote.protocols.wire import TWO_GREY, body, connected, json_reply, recorded_reply, recorded_request

URL = "https://api.openai.com/v1"
ASKED: dict[str, object] = {"model": "gpt-4o", "labels": "cat,dog"}


def asked(**options: object) -> WireProtocol:
    return connected("openai", URL, ASKED | options)


def said(content: object, **more: object) -> Any:
    """A reply in which the model says something."""
    message = {"role": "assistant", "content": content} | more
    return json_reply({"model": "gpt-4o-2024-08-06", "choices": [{"index": 0, "message": message}]})


def name(protocol: WireProtocol, reply: Any) -> str:
    (label,) = protocol.parse(reply, images=1).answers.labels.tolist()
    return protocol.spec.classes.name(label)


@pytest.mark.parametrize(
    ("recorded", "options"),
    [
        ("openai", {}),
        ("openai-structured", {"structured": "true", "detail": "low", "format": "jpeg", "quality": "50"}),
        ("openai-bare", {"temperature": "none", "seed": "none", "max_tokens": "none", "prompt": "Cat or dog?"}),
    ],
)
def test_requests_are_as_recorded(recorded: str, options: dict[str, object]) -> None:
    request, expected = asked(**options).request(TWO_GREY[:1]), recorded_request(recorded)
    assert (request.method, request.url, request.headers) == (expected.method, expected.url, expected.headers)
    if "jpeg" in options.values():  # whose bytes depend on the encoder
        trees = body(request), body(expected)
        urls = [tree["messages"][0]["content"][1]["image_url"].pop("url") for tree in trees]
        assert trees[0] == trees[1]
        assert all(url.startswith("data:image/jpeg;base64,") for url in urls)
    else:
        assert request.body == expected.body


def test_a_schema_holds_the_model_to_the_list() -> None:
    tree = body(asked(structured=True).request(TWO_GREY[:1]))
    schema = tree["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["label"]["enum"] == ["cat", "dog"]
    assert REFUSAL not in json.dumps(tree)


def test_recorded_replies_are_understood() -> None:
    plain = asked()
    parsed = plain.parse(recorded_reply("openai"), images=1)
    assert plain.spec.classes.names == ("cat", "dog", REFUSAL, NONE_OF_THESE)
    assert parsed.answers.labels.tolist() == [1]
    assert parsed.answers.scores is None
    assert parsed.identity == {"model": "gpt-4o-2024-08-06", "backend": "fp_44709d6fcb"}
    assert name(asked(structured="true"), recorded_reply("openai-structured")) == "cat"
    assert name(plain, recorded_reply("openai-refusal")) == REFUSAL
    assert name(plain, recorded_reply("openai-transformers")) == NONE_OF_THESE
    assert asked(watch_backend="false").parse(recorded_reply("openai"), images=1).identity == {
        "model": "gpt-4o-2024-08-06"
    }


@pytest.mark.parametrize(
    ("content", "label"),
    [
        ("cat", "cat"),
        (" Cat.\n", "cat"),
        ('"DOG"', "dog"),
        ("**dog**", "dog"),
        ("a dog", NONE_OF_THESE),
        ("cat, dog", NONE_OF_THESE),
        ("catfish", NONE_OF_THESE),
        ("I cannot tell.", NONE_OF_THESE),
        (REFUSAL, NONE_OF_THESE),
    ],
)
def test_an_answer_is_a_label_of_the_list_or_none_of_these(content: str, label: str) -> None:
    assert name(asked(), said(content)) == label


@pytest.mark.parametrize(
    ("content", "label"),
    [
        ('{"label": "dog"}', "dog"),
        ('{"label": "fox"}', NONE_OF_THESE),
        ('{"label": 3}', NONE_OF_THESE),
        ('{"label": "do', NONE_OF_THESE),
        ("[1]", NONE_OF_THESE),
        ("{}", NONE_OF_THESE),
        ("dog", "dog"),
        ("[" * 100_000, NONE_OF_THESE),
    ],
)
def test_a_structured_answer_is_a_label_of_the_list_or_none_of_these(content: str, label: str) -> None:
    assert name(asked(structured="true"), said(content)) == label


def test_a_filtered_answer_is_a_refusal() -> None:
    tree = json.loads(said("cat").body)
    tree["choices"][0]["finish_reason"] = "content_filter"
    assert name(asked(), json_reply(tree)) == REFUSAL
    assert name(asked(), said("", refusal="No.")) == REFUSAL


@pytest.mark.parametrize("content", ["", "  \n", None, 3, [{"type": "text", "text": "cat"}]])
def test_saying_nothing_is_no_answer(content: object) -> None:
    with pytest.raises(AnswerError):
        asked().parse(said(content), images=1)


@pytest.mark.parametrize(
    "tree",
    [
        {"choices": []},
        {"choices": [{}]},
        {"error": {"message": "x"}},
        {"choices": [{"message": "cat"}]},
        [],
        {"choices": 3},
    ],
)
def test_another_form_is_no_answer(tree: object) -> None:
    with pytest.raises(AnswerError):
        asked().parse(json_reply(tree), images=1)


def test_two_choices_are_no_answer() -> None:
    tree = json.loads(said("cat").body)
    with pytest.raises(AnswerError, match="1 choices"):
        asked().parse(json_reply(tree | {"choices": tree["choices"] * 2}), images=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "m"}, "say which labels"),
        ({"model": "m", "labels": "Cat,cat."}, "differ in more than case"),
        ({"model": "m", "labels": 'cat,"'}, "differ in more than case"),
        ({"labels": "cat,dog"}, "needs the option model"),
    ],
)
def test_what_is_missing_is_said(options: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        connected("openai", URL, options)


def test_the_question_is_part_of_the_fingerprint() -> None:
    assert asked().spec.feedback is Feedback.LABELS
    protocols = [
        asked(),
        asked(model="gpt-4o-mini"),
        asked(prompt="Cat or dog?"),
        asked(structured="true"),
        asked(temperature="0.5"),
        asked(seed="1"),
        asked(max_tokens="64"),
        asked(detail="high"),
        asked(format="jpeg"),
        asked(label_map="dog:cat"),
    ]
    assert len({protocol.spec.fingerprint for protocol in protocols}) == len(protocols)
    assert asked(watch_backend="false").spec.fingerprint == asked().spec.fingerprint


def finished(content: object, reason: str) -> Any:
    tree = json.loads(said(content).body)
    tree["choices"][0]["finish_reason"] = reason
    return json_reply(tree)


def test_what_a_model_thinks_before_its_answer_is_no_part_of_it() -> None:
    assert name(asked(), said("<think>A dog? No.</think>\n\nCat.")) == "cat"
    assert name(asked(), said("<thinking>cat</thinking>dog")) == "dog"
    assert name(asked(), said("cat <think>or dog</think>")) == NONE_OF_THESE
    with pytest.raises(AnswerError, match="said nothing; an empty answer"):
        asked().parse(said("<think>A dog?</think>"), images=1)


@pytest.mark.parametrize("content", ["", None])
def test_tokens_that_end_before_the_answer_are_said_to(content: object) -> None:
    with pytest.raises(AnswerError, match="tokens ended before an answer; raise max_tokens, or max_completion_tokens"):
        asked().parse(finished(content, "length"), images=1)


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (said("<think>Let me see: it could be"), "thinks aloud and does not come to an answer; raise max_tokens"),
        (finished("The picture shows a", "length"), "cut off where its tokens end; raise max_tokens"),
        (said("In this picture I can see an animal that is a cat."), "more than a label; ask more strictly"),
        (said("fox"), "names none of the labels"),
    ],
)
def test_why_an_answer_is_none_of_the_labels_is_said_once(
    reply: Any, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    protocol = asked()
    assert [name(protocol, reply) for _ in range(3)] == [NONE_OF_THESE] * 3
    (record,) = caplog.records
    assert why in record.getMessage()
