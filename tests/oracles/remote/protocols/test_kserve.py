from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
import torch

from oracles import AnswerError, Feedback, OracleChanged, OracleUnavailable, SpecError
from oracles.remote.messages import Reply
from oracles.remote.wire_protocol import WireProtocol
from tests.oracles.remote.protocols.wire import TWO_GREY, body, connected, json_reply, recorded_reply, recorded_request

URL = "http://127.0.0.1:8000/v2/models/tinycnn"
BINARY = {"http://127.0.0.1:8000/v2": {"name": "triton", "version": "2.51.0", "extensions": ["binary_tensor_data"]}}


def metadata(
    *,
    input_shape: list[int] | None = None,
    output_shape: list[int] | None = None,
    datatype: str = "FP32",
    answers: str = "FP32",
    url: str = URL,
) -> dict[str, Any]:
    """What a server of JSON says about a model with one input and one output."""
    return {
        url: {
            "name": "tinycnn",
            "versions": ["1", "2"],
            "platform": "python",
            "inputs": [{"name": "input", "datatype": datatype, "shape": input_shape or [-1, 1, 2, 2]}],
            "outputs": [{"name": "probabilities", "datatype": answers, "shape": output_shape or [-1, 3]}],
        },
        f"{url}/ready": Reply(200),
    }


def tiny(options: Mapping[str, object] | None = None, **settings: Any) -> WireProtocol:
    return connected("kserve", settings.get("url", URL), options, metadata(**settings))


def reply(**changed: Any) -> Reply:
    """A reply of JSON with one output for two images, some of its members changed."""
    output = {
        "name": "probabilities",
        "datatype": "FP32",
        "shape": [2, 3],
        "data": [0.25, 0.625, 0.125, 0.5, 0.25, 0.25],
    }
    return json_reply({"id": "req-1", "model_name": "tinycnn", "model_version": "1", "outputs": [output | changed]})


@pytest.mark.parametrize(
    ("name", "settings", "options", "replies"),
    [
        ("kserve-json", {}, {}, {}),
        ("kserve-binary", {}, {}, BINARY),
        ("kserve-half-binary", {"datatype": "FP16"}, {}, BINARY),
        ("kserve-uint8-last", {"datatype": "UINT8", "input_shape": [-1, 2, 2, 1]}, {"output": "probabilities"}, {}),
        ("kserve-uint8-binary", {"datatype": "UINT8"}, {"output": "probabilities"}, BINARY),
        ("kserve-scaled-rgb", {"input_shape": [-1, 3, 2, 2]}, {"channels": "rgb", "scale": "255", "mean": "1,2,3"}, {}),
    ],
)
def test_requests_are_as_recorded(
    name: str, settings: dict[str, Any], options: dict[str, object], replies: dict[str, object]
) -> None:
    protocol = connected("kserve", URL, options, metadata(**settings) | replies)
    request, expected = protocol.request(TWO_GREY), recorded_request(name)
    assert (request.method, request.url, request.headers) == (expected.method, expected.url, expected.headers)
    assert request.body == expected.body


@pytest.mark.parametrize(
    ("name", "identity"),
    [
        ("kserve-triton", {"name": "tinycnn", "version": "2"}),
        ("kserve-triton-binary", {"name": "tinycnn", "version": "1"}),
        ("kserve-kserve", {"name": "tinycnn"}),
    ],
)
def test_scores_of_real_servers_are_understood(name: str, identity: dict[str, str]) -> None:
    parsed = tiny().parse(recorded_reply(name), images=2)
    assert parsed.answers.labels.tolist() == [1, 0]
    assert parsed.answers.scores is not None
    assert parsed.answers.scores.tolist() == [[0.25, 0.625, 0.125], [0.5, 0.25, 0.25]]
    assert parsed.identity == identity | {"unit of scores": "probabilities"}
    assert parsed.identifier == "req-1"


def test_numbers_of_labels_are_understood_where_metadata_is_silent() -> None:
    silent = {URL: {"name": "digits", "inputs": [], "outputs": []}, f"{URL}/ready": Reply(200)}
    protocol = connected("kserve", URL, {"feedback": "labels", "labels": "a,b,c"}, silent)
    parsed = protocol.parse(recorded_reply("kserve-mlserver-labels"), images=2)
    assert parsed.answers.scores is None
    assert [protocol.spec.classes.name(int(label)) for label in parsed.answers.labels] == ["c", "a"]
    assert parsed.identity == {"name": "digits", "version": "v1"}


@pytest.mark.parametrize("answers", ["INT64", "INT8", "UINT32"])
def test_several_whole_numbers_an_image_are_no_label(answers: str) -> None:
    with pytest.raises(SpecError, match=rf"holds {answers} \(-1, 3\), several an image, .* say feedback=prob"):
        tiny(answers=answers)
    one = connected("kserve", URL, {"labels": "a,b,c"}, metadata(answers=answers, output_shape=[-1, 1]))
    assert one.spec.feedback is Feedback.LABELS
    numbers = reply(datatype=answers, data=[1, 9, 3, 7, 2, 2])
    scored = tiny({"feedback": "logits"}, answers=answers).parse(numbers, images=2)
    assert scored.answers.labels.tolist() == [1, 0]
    with pytest.raises(AnswerError, match=rf"2 labels, got {answers} \(2, 3\); where these are scores, say"):
        one.parse(numbers, images=2)


@pytest.mark.parametrize("name", ["kserve-text-labels", "kserve-binary-labels"])
@pytest.mark.parametrize("labels", [None, "paper towel,kingfisher"])
def test_labels_in_words_are_understood(name: str, labels: str | None) -> None:
    described = metadata(answers="BYTES", output_shape=[-1, 1])
    described[URL]["outputs"][0]["name"] = "label"
    protocol = connected("kserve", URL, {"labels": labels} if labels else {}, described)
    assert protocol.spec.feedback is Feedback.LABELS
    answers = protocol.parse(recorded_reply(name), images=2).answers
    assert [protocol.spec.classes.name(int(label)) for label in answers.labels] == ["kingfisher", "paper towel"]
    assert protocol.spec.classes.open_set is (labels is None)


def test_each_kind_of_number_is_read_from_bytes() -> None:
    for datatype, dtype in {"FP16": torch.float16, "FP32": torch.float32, "FP64": torch.float64}.items():
        raw = torch.tensor([[0.25, 0.5, 0.125]], dtype=dtype).numpy().tobytes()
        output = {"name": "o", "datatype": datatype, "shape": [1, 3], "parameters": {"binary_data_size": len(raw)}}
        head = json.dumps({"outputs": [output]}).encode()
        packed = Reply(200, {"inference-header-content-length": str(len(head))}, head + raw)
        protocol = connected("kserve", URL, {"num_classes": 3}, {URL: {}, f"{URL}/ready": Reply(200)})
        scores = protocol.parse(packed, images=1).answers.scores
        assert scores is not None
        assert scores.tolist() == [[0.25, 0.5, 0.125]]


def test_metadata_decides_what_nobody_said() -> None:
    protocol = tiny()
    spec = protocol.spec
    assert (spec.image_shape, len(spec.classes), spec.feedback) == ((1, 2, 2), 3, Feedback.PROBABILITIES)
    assert (spec.remote, spec.deterministic, spec.eight_bit, spec.max_batch) == (True, True, False, 32)
    assert protocol.encoding == "FP32 tensor"
    assert tiny(datatype="UINT8").spec.eight_bit


def test_what_bbsmooth_serve_adds_to_the_metadata_is_understood() -> None:
    described = metadata()
    described[URL]["parameters"] = {"max_batch": 8}
    described[URL]["outputs"][0]["parameters"] = {"feedback": "logits", "labels": ["cat", "dog", "eel"]}
    spec = connected("kserve", URL, None, described).spec
    assert (spec.feedback, spec.classes.names, spec.max_batch) == (Feedback.LOGITS, ("cat", "dog", "eel"), 8)

    described[URL]["parameters"] = {"max_batch": "8"}
    described[URL]["outputs"][0]["parameters"] = {"feedback": ["logits"], "labels": [1, 2, 3]}
    other = connected("kserve", URL, None, described).spec
    assert (other.feedback, other.max_batch) == (Feedback.PROBABILITIES, 32), "what makes no sense is not said"


@pytest.mark.parametrize(
    ("shape", "options", "image_shape", "sent"),
    [
        ([-1, 3, 2, 2], {}, (3, 2, 2), [2, 3, 2, 2]),
        ([-1, 2, 2, 3], {}, (3, 2, 2), [2, 2, 2, 3]),
        ([-1, -1, -1, -1], {}, None, [2, 3, 2, 2]),
        ([-1, 3, 2, 2], {"channels": "rgb"}, (1, 2, 2), [2, 3, 2, 2]),
        ([-1, -1, -1, 3], {"channels": "rgb", "image_shape": "1x2x2"}, (1, 2, 2), [2, 2, 2, 3]),
        ([-1, 12], {"image_shape": "3x2x2"}, (3, 2, 2), [2, 12]),
        ([-1, 12], {}, None, [2, 12]),
        ([], {"layout": "flat", "image_shape": "3x2x2"}, (3, 2, 2), [2, 12]),
        ([-1, 3, 3, 3], {"layout": "NHWC", "image_shape": "3x3x3"}, (3, 3, 3), [2, 3, 3, 3]),
    ],
)
def test_images_lie_as_the_model_wants_them(
    shape: list[int], options: dict[str, object], image_shape: tuple[int, int, int] | None, sent: list[int]
) -> None:
    described = metadata()
    described[URL]["inputs"] = [{"name": "input", "datatype": "FP32", "shape": shape}] if shape else []
    protocol = connected("kserve", URL, options, described)
    assert protocol.spec.image_shape == image_shape
    images = torch.zeros(2, *(image_shape or (3, 2, 2)))
    assert body(protocol.request(images))["inputs"][0]["shape"] == sent


def test_a_model_without_a_batch_gets_one_image_at_a_time() -> None:
    protocol = tiny(input_shape=[1, 2, 2], output_shape=[3])
    assert protocol.spec.max_batch == 1
    assert body(protocol.request(TWO_GREY[:1]))["inputs"][0]["shape"] == [1, 2, 2]
    for shape in ([3], [1, 3]):
        answers = protocol.parse(reply(shape=shape, data=[0.25, 0.5, 0.25]), images=1).answers
        assert answers.labels.tolist() == [1]
    with pytest.raises(AnswerError, match="should answer with scores"):
        protocol.parse(reply(shape=[2, 3]), images=1)


@pytest.mark.parametrize(
    ("first", "options", "limit"), [(1, {}, 1), (8, {}, 8), (8, {"batch_size": 4}, 4), (-1, {}, 32)]
)
def test_the_smallest_limit_on_a_batch_wins(first: int, options: dict[str, object], limit: int) -> None:
    assert tiny(options, input_shape=[first, 1, 2, 2]).spec.max_batch == limit


def test_equal_images_give_equal_requests_and_others_do_not() -> None:
    protocol = tiny()
    first, again, other = (protocol.request(images) for images in (TWO_GREY, TWO_GREY.clone(), TWO_GREY.flip(0)))
    assert first == again
    assert first.identifier == body(first)["id"]
    assert first.identifier != other.identifier


def test_large_images_go_out_clipped_byte_by_byte_and_are_named_by_pieces_of_them() -> None:
    protocol = connected("kserve", URL, {}, metadata(input_shape=[-1, 3, 64, 64]) | BINARY)
    images = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 0.5
    images[0, 0, 0, 0] = -0.0
    first, again, other = (protocol.request(given) for given in (images, images.clone(), images.flip(0)))
    head = int(first.headers["Inference-Header-Content-Length"])
    assert first == again
    assert first.body[head:] == (images.clamp(0, 1) + 0.0).numpy().tobytes()
    assert first.body[head:] == protocol.request(images.clamp(0, 1)).body[head:]
    assert json.loads(first.body[:head])["id"] == first.identifier
    assert first.identifier != other.identifier


def test_the_output_is_chosen_by_name_whatever_the_order() -> None:
    described = metadata()
    described[URL]["outputs"] += [{"name": "features", "datatype": "FP32", "shape": [-1, 64]}]
    protocol = connected("kserve", URL, {"output": "probabilities"}, described | BINARY)
    request = protocol.request(TWO_GREY)
    head = json.loads(request.body[: int(request.headers["Inference-Header-Content-Length"])])
    assert head["outputs"] == [{"name": "probabilities", "parameters": {"binary_data": True}}]
    tree = json.loads(recorded_reply("kserve-triton").body)
    features = {"name": "features", "datatype": "FP32", "shape": [2, 1], "data": [9, 9]}
    for outputs in ([features, *tree["outputs"]], [*tree["outputs"], features]):
        assert protocol.parse(json_reply(tree | {"outputs": outputs}), images=2).answers.labels.tolist() == [1, 0]
    with pytest.raises(SpecError, match="outputs \\['probabilities', 'features'\\]; choose with output=NAME"):
        connected("kserve", URL, {}, described)
    with pytest.raises(SpecError, match="no output 'logits'; it has \\['probabilities', 'features'\\]"):
        connected("kserve", URL, {"output": "logits"}, described)


BROKEN: dict[str, tuple[Reply, str]] = {
    "null": (reply(data=[0.25, None, 0.125, 0.5, 0.25, 0.25]), "should hold numbers, got null"),
    "nan": (Reply(200, {}, reply().body.replace(b"0.625", b"NaN")), "NaN is no number of JSON"),
    "infinite": (Reply(200, {}, reply().body.replace(b"0.625", b"1e999")), "not finite"),
    "text": (reply(data=["0.25", 0.6, 0.1, 0.5, 0.25, 0.25]), "should hold numbers, got text"),
    "truth": (reply(data=[True, 0.6, 0.1, 0.5, 0.25, 0.25]), "should hold numbers, got a truth value"),
    "too few": (reply(data=[0.25, 0.625, 0.125]), r"shape \(2, 3\) has other than 3 elements"),
    "too many": (reply(data=[0.1] * 7), "other than 7 elements"),
    "none": (reply(data=[]), "other than 0 elements"),
    "one image": (reply(shape=[1, 3], data=[0.25, 0.5, 0.25]), r"scores \(2, 3\), got FP32 \(1, 3\)"),
    "three images": (reply(shape=[3, 3], data=[0.1] * 9), r"scores \(2, 3\), got FP32 \(3, 3\)"),
    "four classes": (reply(shape=[2, 4], data=[0.25] * 8), r"scores \(2, 3\), got FP32 \(2, 4\)"),
    "turned": (reply(shape=[3, 2]), r"scores \(2, 3\), got FP32 \(3, 2\)"),
    "nested otherwise": (reply(data=[[0.25, 0.625], [0.125, 0.5], [0.25, 0.25]]), "came as lists of shape"),
    "ragged": (reply(data=[[0.25, 0.625], [0.125, 0.5, 0.25, 0.25]]), "not equally long"),
    "huge shape": (reply(shape=[10**30, 3]), "whole numbers"),
    "negative shape": (reply(shape=[-2, -3]), "whole numbers"),
    "no data": (reply(data=None), "hold 'data' as a list"),
    "strange type": (reply(datatype="COMPLEX"), "neither scores nor labels"),
    "labels": (reply(datatype="BYTES", shape=[2], data=["a", "b"]), "say feedback=labels"),
    "other name": (reply(name="other"), "no output 'probabilities'; it has \\['other'\\]"),
    "twice": (json_reply({"outputs": [*json.loads(reply().body)["outputs"] * 2]}), "holds an output twice"),
    "no outputs": (json_reply({"id": "req-1"}), "hold 'outputs' as a list"),
    "empty": (json_reply({"outputs": []}), "it has \\[\\]"),
    "error": (json_reply({"error": "out of memory"}), "hold 'outputs' as a list"),
    "html": (Reply(200, {"content-type": "text/html"}, b"<html>oops</html>"), "begins with '<html>"),
    "list": (json_reply([1]), "JSON object, got a list"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_answer_is_refused(case: str) -> None:
    broken, message = BROKEN[case]
    with pytest.raises(AnswerError, match=message):
        tiny().parse(broken, images=2)


@pytest.mark.parametrize(
    ("length", "size", "message"),
    [
        ("9999", 24, "in a reply of"),
        ("-1", 24, "in a reply of"),
        ("abc", 24, "in a reply of"),
        (None, 23, "1 bytes that belong to no output"),
        (None, 25, "where 24 bytes are left"),
        (None, -1, "where 24 bytes are left"),
        (None, "24", "where 24 bytes are left"),
        (None, None, "24 bytes that belong to no output"),
    ],
)
def test_bytes_that_do_not_add_up_are_refused(length: str | None, size: object, message: str) -> None:
    output = {"name": "probabilities", "datatype": "FP32", "shape": [2, 3], "parameters": {"binary_data_size": size}}
    head = json.dumps({"outputs": [output]}).encode()
    broken = Reply(200, {"inference-header-content-length": length or str(len(head))}, head + bytes(24))
    with pytest.raises(AnswerError, match=message):
        tiny().parse(broken, images=2)


@pytest.mark.parametrize("raw", [b"\x05\0\0\0abcd", b"\x01\0", b"\x02\0\0\0\xff\xfe", b"\x01\0\0\0a"])
def test_texts_that_do_not_add_up_are_refused(raw: bytes) -> None:
    output = {"name": "label", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"outputs": [output]}).encode()
    protocol = connected(
        "kserve", URL, {"output": "label", "feedback": "labels"}, {URL: {}, f"{URL}/ready": Reply(200)}
    )
    with pytest.raises(AnswerError):
        protocol.parse(Reply(200, {"inference-header-content-length": str(len(head))}, head + raw), images=2)


def test_an_identifier_that_is_missing_is_left_to_the_caller() -> None:
    for identifier in (None, ""):
        tree = json.loads(reply().body) | {"id": identifier}
        assert tiny().parse(json_reply(tree), images=2).identifier == ""


def test_another_version_than_the_one_asked_for_is_a_change() -> None:
    url = f"{URL}/versions/1"
    protocol = tiny(url=url)
    assert protocol.parse(reply(), images=2).identity["version"] == "1"
    with pytest.raises(OracleChanged, match="version '2' of the model answered"):
        protocol.parse(recorded_reply("kserve-triton"), images=2)
    assert protocol.parse(recorded_reply("kserve-kserve"), images=2).identity == {
        "name": "tinycnn",
        "unit of scores": "probabilities",
    }


@pytest.mark.parametrize(
    ("replies", "message"),
    [
        ({}, 'metadata of .*: the server answered 404 \'{"error": "no such thing"}\''),
        ({URL: {}}, "is not ready: the server answered 404"),
        ({URL: {}, f"{URL}/ready": Reply(503)}, "is not ready: the server answered 503"),
        ({URL: {}, f"{URL}/ready": {"name": "tinycnn", "ready": False}}, "is not ready; wait"),
    ],
)
def test_a_model_that_is_not_there_is_unavailable(replies: dict[str, object], message: str) -> None:
    with pytest.raises(OracleUnavailable, match=message):
        connected("kserve", URL, {}, replies)


@pytest.mark.parametrize(
    "broken",
    [
        [],
        {"inputs": {}},
        {"inputs": [3]},
        {"inputs": [{"name": "x", "datatype": "FP32", "shape": ["a"]}]},
        {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-2]}]},
        {"inputs": [{"name": 1, "datatype": "FP32", "shape": []}]},
        {"outputs": [{"name": "x"}]},
    ],
)
def test_metadata_of_another_form_are_refused(broken: object) -> None:
    with pytest.raises(AnswerError):
        connected("kserve", URL, {"num_classes": 3}, {URL: broken, f"{URL}/ready": Reply(200)})


@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        ({"url": "http://h/models/x"}, {}, "should end in /v2/models/NAME"),
        ({"output_shape": [-1, -1]}, {}, "say num_classes or labels"),
        ({"answers": "INT64", "output_shape": [-1]}, {}, "say num_classes or labels"),
        ({}, {"labels": "a,b"}, "has 3 outputs, but 2 labels are named"),
        ({}, {"feedback": "top-k"}, "not feedback=top-k: say label_output=NAME"),
        ({"output_shape": [-1, 7, 7]}, {}, "none of scores; say output=NAME"),
        ({}, {"image_shape": "3x2x2"}, "do not fit the model's input"),
        ({}, {"layout": "NHWC", "image_shape": "1x2x2"}, "do not fit the model's input"),
        ({"input_shape": [-1, 5]}, {"image_shape": "1x2x2"}, "do not fit the model's input"),
        ({"input_shape": [1, 1, 1, 2, 2]}, {}, "none of images"),
        ({"datatype": "BYTES"}, {}, "in which picture files do not go; say content=tensor"),
        (
            {"datatype": "BOOL"},
            {},
            "takes 'BOOL', in which images are not sent; where it takes one of FP64, .* datatype=",
        ),
        ({}, {"input": "pixels"}, "no input 'pixels'; it has \\['input'\\]"),
        ({"output_shape": [-1, 2**31 - 1]}, {}, "has 2,147,483,647 outputs, more than 1,048,576"),
        ({"output_shape": [-1, -1]}, {"num_classes": 10**12}, "num_classes should be at most 1,048,576"),
        ({"input_shape": [-1, 1, 2**30, 2**30]}, {}, "larger than images are"),
    ],
)
def test_what_does_not_fit_together_is_said(settings: dict[str, Any], options: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        tiny(options, **settings)


def test_the_fingerprint_covers_what_changes_answers_and_nothing_else() -> None:
    plain = tiny().spec.fingerprint
    same: list[dict[str, object]] = [
        {"batch_size": 3},
        {"deterministic": "false"},
        {"binary": "true"},
        {"key_env": "K"},
    ]
    assert {tiny(options).spec.fingerprint for options in same} == {plain}
    others = [
        tiny(url=f"{URL}2"),
        tiny(url=f"{URL}/versions/1"),
        tiny(datatype="FP16"),
        tiny({"scale": "255"}),
        tiny({"labels": "a,b,c"}),
        tiny({"label_map": "0:a"}),
        tiny({"feedback": "logits"}),
        tiny({"channels": "rgb"}, input_shape=[-1, 3, 2, 2]),
    ]
    fingerprints = [protocol.spec.fingerprint for protocol in others]
    assert len({plain, *fingerprints}) == 1 + len(others)


def test_options_say_what_the_oracle_is() -> None:
    spec = tiny({"deterministic": "false", "labels": "a,b,c", "label_map": "a:x,c:x", "feedback": "logits"}).spec
    assert not spec.deterministic
    assert spec.classes.names == ("x", "b")
    assert spec.feedback is Feedback.LOGITS


@pytest.mark.parametrize(
    ("configured", "expected"),
    [
        ({"max_batch_size": 8}, 8),
        ({"max_batch_size": 0}, None),  # a model without an axis for batches, or one that is as large as one likes
        ({"max_batch_size": -1}, None),
        ({"max_batch_size": True}, None),
        ({"max_batch_size": "8"}, None),
        ({}, None),
        (Reply(404), None),
    ],
)
def test_the_batch_size_that_a_model_is_configured_for_is_kept_to(configured: object, expected: int | None) -> None:
    server = {"http://127.0.0.1:8000/v2": {"name": "triton", "extensions": ["model_configuration"]}}
    told = metadata() | server | {f"{URL}/config": configured}
    assert connected("kserve", URL, {}, told).spec.max_batch == (expected or tiny().spec.max_batch)


def test_the_configuration_is_asked_for_only_where_the_server_offers_it() -> None:
    told = metadata() | {f"{URL}/config": {"max_batch_size": 8}}
    assert connected("kserve", URL, {}, told).spec.max_batch == tiny().spec.max_batch != 8


def test_of_several_batch_sizes_the_smallest_is_kept_to() -> None:
    server = {"http://127.0.0.1:8000/v2": {"name": "triton", "extensions": ["model_configuration"]}}
    told = metadata(input_shape=[4, 1, 2, 2]) | server | {f"{URL}/config": {"max_batch_size": 8}}
    assert connected("kserve", URL, {}, told).spec.max_batch == 4
