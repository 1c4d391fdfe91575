"""Services that take pictures and answer with ranked labels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from oracles import AnswerError, Feedback, OracleUnavailable, SpecError, Unanswered
from oracles.errors import ImageRefused
from oracles.oracle import NONE_OF_THESE
from oracles.remote.wire_protocol import WireProtocol
from tests.oracles.remote.protocols.wire import TWO_GREY, connected, json_reply, recorded_reply, recorded_request

URLS = {
    "huggingface": "https://abc.endpoints.huggingface.cloud",
    "googlevision": "https://vision.googleapis.com",
    "rekognition": "https://rekognition.eu-west-1.amazonaws.com",
    "azurevision": "https://mine.cognitiveservices.azure.com",
    "customvision": "https://mine.cognitiveservices.azure.com/customvision/v3.1/prediction/P/classify/iterations/trees",
    "clarifai": "https://api.clarifai.com/v2/users/clarifai/apps/main/models/general-image-recognition",
}
ARN = "arn:aws:rekognition:eu-west-1:123456789012:project/digits/version/digits.2026/1"


def service(protocol: str, options: Mapping[str, object] | None = None) -> WireProtocol:
    return connected(protocol, URLS[protocol], options)


@pytest.mark.parametrize(
    ("name", "protocol", "options", "images"),
    [
        ("huggingface", "huggingface", {}, 1),
        ("huggingface-top-k", "huggingface", {"top_k": 3}, 1),
        ("googlevision", "googlevision", {"max_results": 5}, 2),
        ("rekognition", "rekognition", {}, 1),
        ("rekognition-custom", "rekognition", {"project_version": ARN, "max_labels": 3, "min_confidence": 1}, 1),
        ("azurevision", "azurevision", {"model_version": "latest"}, 1),
        ("customvision", "customvision", {}, 1),
        ("clarifai", "clarifai", {"channels": "rgb"}, 2),
    ],
)
def test_requests_are_as_recorded(name: str, protocol: str, options: dict[str, object], images: int) -> None:
    request = service(protocol, options).request(TWO_GREY[:images])
    assert (request, request.body) == (recorded_request(name), recorded_request(name).body)


@pytest.mark.parametrize(
    ("name", "protocol", "options", "ranked", "identity"),
    [
        (
            "huggingface",
            "huggingface",
            {},
            [{"tabby, tabby cat": 0.5, "lynx, catamount": 0.25, "Egyptian cat": 0.125}],
            {},
        ),
        (
            "googlevision",
            "googlevision",
            {},
            [{"Cat": 0.875, "Small to medium-sized cats": 0.75}, {"Dog": 0.5}],
            {},
        ),
        ("rekognition", "rekognition", {}, [{"Cat": 0.96875, "Rug": 0.5}], {"version": "3.0"}),
        ("rekognition-custom", "rekognition", {"project_version": ARN}, [{"seven": 0.75, "one": 0.25}], {}),
        ("azurevision", "azurevision", {}, [{"cat": 0.96875, "indoor": 0.5}], {"version": "2023-10-01"}),
        (
            "customvision",
            "customvision",
            {},
            [{"hemlock": 0.75, "cherry": 0.25}],
            {"project": "6a1b", "iteration": "9c2d"},
        ),
        (
            "clarifai",
            "clarifai",
            {},
            [{"cat": 0.875, "pet": 0.75}, {"dog": 0.5}],
            {"name": "general-image-recognition", "version": "aa7f35c01e0642fda5cf400f543e7c40"},
        ),
    ],
)
def test_replies_are_understood(
    name: str, protocol: str, options: dict[str, object], ranked: list[dict[str, float]], identity: dict[str, str]
) -> None:
    asked = service(protocol, options)
    parsed = asked.parse(recorded_reply(name), images=len(ranked))
    names = asked.spec.classes.names
    assert parsed.answers.scores is not None
    found = [
        {name: score for name, score in zip(names, row, strict=True) if score == score}
        for row in parsed.answers.scores.tolist()
    ]
    assert found == ranked
    assert [names[label] for label in parsed.answers.labels] == [max(row, key=row.__getitem__) for row in ranked]
    assert parsed.identity == identity


@pytest.mark.parametrize("protocol", URLS)
def test_free_words_are_classes_unless_the_user_lists_them(protocol: str) -> None:
    free, listed = service(protocol), service(protocol, {"labels": "Cat,Rug", "label_map": "Rug:Cat"})
    assert free.spec.classes.open_set
    assert (free.spec.feedback, free.spec.eight_bit, free.encoding) == (Feedback.TOP_K, True, "PNG")
    assert listed.spec.classes.names == ("Cat",)
    assert free.spec.fingerprint != listed.spec.fingerprint
    assert service(protocol, {"format": "jpeg", "quality": 80}).encoding == "JPEG of quality 80 (lossy)"


def test_batches_are_as_large_as_the_service_takes() -> None:
    limits = {protocol: service(protocol, {"batch_size": 1000}).spec.max_batch for protocol in URLS}
    assert limits == {
        "huggingface": 1,
        "googlevision": 16,
        "rekognition": 1,
        "azurevision": 1,
        "customvision": 1,
        "clarifai": 128,
    }


EMPTY: dict[str, Any] = {
    "huggingface": [],
    "googlevision": {"responses": [{}]},
    "rekognition": {"Labels": []},
    "azurevision": {"tagsResult": {"values": []}},
    "customvision": {"predictions": []},
    "clarifai": {"status": {"code": 10000}, "outputs": [{"status": {"code": 10000}, "data": {}}]},
}


@pytest.mark.parametrize("protocol", EMPTY)
def test_an_image_without_a_label_is_a_vote_for_no_class_and_not_paid_for_again(protocol: str) -> None:
    free, listed = service(protocol), service(protocol, {"labels": "Cat,Rug"})
    label = free.parse(json_reply(EMPTY[protocol]), images=1).answers.labels.item()
    assert free.spec.classes.name(int(label)) == NONE_OF_THESE
    with pytest.raises(ImageRefused, match="an empty answer is not a class"):
        listed.parse(json_reply(EMPTY[protocol]), images=1)


@pytest.mark.parametrize("protocol", EMPTY)
@pytest.mark.parametrize("tree", [{}, [{}], {"error": "x"}, None, {"predictions": 3, "responses": 3, "Labels": 3}, [3]])
def test_another_form_is_no_answer(protocol: str, tree: object) -> None:
    with pytest.raises(AnswerError):
        service(protocol).parse(json_reply(tree), images=1)


def test_google_can_refuse_one_image_of_a_request() -> None:
    with pytest.raises(AnswerError, match=r"refused 1 of 2 images: a whole number \(3\), text \('Bad image data.'\)"):
        service("googlevision").parse(recorded_reply("googlevision-refused"), images=2)


def test_google_can_be_exhausted_within_a_reply_of_status_200() -> None:
    with pytest.raises(Unanswered, match="answered no image: .*Resource exhausted"):
        service("googlevision").parse(recorded_reply("googlevision-exhausted"), images=2)
    one = json.loads(recorded_reply("googlevision-exhausted").body)
    one["responses"][0] = {"labelAnnotations": [{"description": "Cat", "score": 0.5}]}
    with pytest.raises(AnswerError, match="refused 1 of 2"):  # the other one is answered, and paid for
        service("googlevision").parse(json_reply(one), images=2)


def test_clarifai_throttles_within_a_reply_of_status_200() -> None:
    with pytest.raises(Unanswered, match="11005") as caught:
        service("clarifai").parse(recorded_reply("clarifai-throttled"), images=1)
    assert caught.value.retry_after == 15


def test_clarifai_says_in_the_body_what_went_wrong() -> None:
    with pytest.raises(AnswerError, match="30002, .*Download failed.* for 1 of 2 images"):
        service("clarifai").parse(recorded_reply("clarifai-mixed"), images=2)
    with pytest.raises(OracleUnavailable, match="11002") as caught:
        service("clarifai").parse(json_reply({"status": {"code": 11002, "description": "Invalid token"}}), images=1)
    assert not isinstance(caught.value, Unanswered)
    with pytest.raises(AnswerError, match="10020"):
        service("clarifai").parse(json_reply({"status": {"code": 10020, "description": "Failure"}}), images=1)


def test_two_models_in_one_reply_are_no_answer() -> None:
    tree = json.loads(recorded_reply("clarifai").body)
    tree["outputs"][1]["model"]["model_version"]["id"] = "another"
    with pytest.raises(AnswerError, match="different versions"):
        service("clarifai").parse(json_reply(tree), images=2)


@pytest.mark.parametrize("protocol", ["customvision", "clarifai"])
def test_an_address_without_a_model_is_refused(protocol: str) -> None:
    with pytest.raises(SpecError, match="the URL should end in"):
        connected(protocol, "https://example.org")
