import json

import pytest
import torch

from oracles import AnswerError, Feedback, SpecError
from oracles.remote.messages import Reply
from tests.oracles.remote.protocols.wire import TWO_GREY, connected, json_reply, recorded_reply, recorded_request

URL = "http://127.0.0.1:8080/predictions/tinycnn/1.0"


@pytest.mark.parametrize(
    ("name", "options", "images"),
    [
        ("torchserve-json", {}, 2),
        ("torchserve-bare-last", {"key": "none", "layout": "NHWC", "datatype": "UINT8"}, 2),
        ("torchserve-bytes", {"content": "bytes"}, 1),
        ("torchserve-picture", {"content": "picture"}, 1),
    ],
)
def test_requests_are_as_recorded(name: str, options: dict[str, object], images: int) -> None:
    request = connected("torchserve", URL, {"num_classes": 3, **options}).request(TWO_GREY[:images])
    assert (request, request.body) == (recorded_request(name), recorded_request(name).body)


@pytest.mark.parametrize("bare", [False, True])
def test_scores_are_understood(bare: bool) -> None:
    reply = recorded_reply("torchserve")
    if bare:
        reply = json_reply(json.loads(reply.body)["predictions"])
    parsed = connected("torchserve", URL, {"labels": "a,b,c"}).parse(reply, images=2)
    assert parsed.answers.labels.tolist() == [1, 0]
    assert parsed.answers.scores is not None
    assert parsed.answers.scores.tolist() == [[0.25, 0.625, 0.125], [0.5, 0.25, 0.25]]
    assert parsed.identity == {"unit of scores": "probabilities"}


def test_the_answer_to_a_picture_may_stand_alone() -> None:
    protocol = connected("torchserve", URL, {"content": "picture", "feedback": "top-k"})
    answers = protocol.parse(recorded_reply("torchserve-picture"), images=1).answers
    assert protocol.spec.classes.names == ("tabby", "tiger_cat", "lynx")
    assert answers.labels.tolist() == [0]
    scores = connected("torchserve", URL, {"content": "bytes", "num_classes": 2})
    assert scores.parse(json_reply([0.25, 0.75]), images=1).answers.labels.tolist() == [1]
    assert scores.parse(json_reply([[0.25, 0.75]]), images=1).answers.labels.tolist() == [1]
    words = connected("torchserve", URL, {"content": "picture", "feedback": "labels"})
    for reply in ("cat", ["cat"], {"predictions": ["cat"]}, {"predictions": "cat"}):
        assert words.parse(json_reply(reply), images=1).answers.labels.tolist() == [0]


def test_labels_may_be_words_or_numbers() -> None:
    protocol = connected("torchserve", URL, {"labels": "a,b,c", "feedback": "labels", "reply_key": "classes"})
    assert protocol.parse(json_reply({"classes": [2, 0]}), images=2).answers.labels.tolist() == [2, 0]
    assert protocol.parse(json_reply({"classes": ["c", "a"]}), images=2).answers.labels.tolist() == [2, 0]


@pytest.mark.parametrize(
    "tree",
    [
        {"predictions": [[0.25, 0.625, 0.125]]},
        {"predictions": [[0.25, 0.625, 0.125], [0.5, 0.25]]},
        {"predictions": [[0.25, 0.625, 0.125], [0.5, 0.25, None]]},
        {"predictions": [[0.25, 0.625, 0.125], "a"]},
        {"predictions": {}},
        {"code": 500},
        [[[0.25, 0.625, 0.125], [0.5, 0.25, 0.25]]],
        0.5,
    ],
)
def test_what_is_no_answer_is_refused(tree: object) -> None:
    with pytest.raises(AnswerError):
        connected("torchserve", URL, {"num_classes": 3}).parse(json_reply(tree), images=2)


def test_nan_is_refused() -> None:
    with pytest.raises(AnswerError, match="NaN is no number"):
        connected("torchserve", URL, {"num_classes": 2}).parse(Reply(200, {}, b"[[NaN, 0.5]]"), images=1)


def test_the_specification_follows_the_content() -> None:
    tensor, picture = (
        connected("torchserve", URL, {"num_classes": 3, "content": kind}) for kind in ("json", "picture")
    )
    assert (tensor.spec.max_batch, tensor.spec.eight_bit, tensor.encoding) == (32, False, "FP32 tensor")
    assert (picture.spec.max_batch, picture.spec.eight_bit, picture.encoding) == (1, True, "PNG")
    assert tensor.spec.feedback is Feedback.PROBABILITIES
    assert tensor.spec.fingerprint != picture.spec.fingerprint


def test_what_is_missing_is_said() -> None:
    with pytest.raises(SpecError, match="say num_classes, labels or labels_file"):
        connected("torchserve", URL)
    with pytest.raises(SpecError, match="should end in /predictions/NAME"):
        connected("torchserve", "http://127.0.0.1:8080/models/x", {"num_classes": 3})


def test_a_raw_body_holds_one_image() -> None:
    protocol = connected("torchserve", URL, {"num_classes": 3, "content": "bytes", "datatype": "UINT8"})
    assert protocol.request(torch.tensor([[[[1, 2]]]], dtype=torch.uint8)).body == b"\x01\x02"
