from __future__ import annotations

import base64
import json
import tomllib
from typing import Any

import numpy as np
import pytest
import torch

from oracles import AnswerError, Feedback, SpecError
from oracles.errors import ImageRefused
from oracles.oracle import NONE_OF_THESE
from oracles.remote.messages import Reply
from oracles.remote.wire_protocol import TellingUsage, WireProtocol
from oracles.usage import Usage
from tests.oracles.remote.protocols.wire import TWO_GREY, body, connected, json_reply, recorded_reply, recorded_request
from tests.oracles.remote.test_image_encoding import decoded

URL = "https://vision.example.org/classify"
LABEL = "[response]\nlabels = 'label'\n"


def described(text: str) -> WireProtocol:
    """The protocol that a file describes."""
    return connected("template", URL, tomllib.loads(text))


def with_body(template: str, more: str = "") -> WireProtocol:
    return described(f"[request]\nbody = '''{template}'''\n{more}\n{LABEL}")


FULL = """
[request]
body = '{"top": 5, "pictures": [{"kind": "hint"}, {"data": "{image:png-base64}"}]}'
many = true

[response]
answers = "results"
entries = "found"
labels = "name"
scores = "percent"
score_scale = 0.01

[response.identity]
version = "model.version"
name = "model.name"
missing = "model.digest"
"""


def test_a_description_makes_requests_and_understands_replies() -> None:
    protocol = described(FULL)
    request, expected = protocol.request(TWO_GREY), recorded_request("template")
    assert request == expected
    parsed = protocol.parse(recorded_reply("template"), images=2)
    assert [protocol.spec.classes.name(int(label)) for label in parsed.answers.labels] == ["oak", "ash"]
    assert parsed.answers.scores is not None
    assert parsed.answers.scores[0, :2].tolist() == [0.75, 0.25]
    assert parsed.identity == {"version": "7", "name": "leaves"}
    assert (protocol.spec.feedback, protocol.spec.max_batch, protocol.spec.eight_bit) == (Feedback.TOP_K, 32, True)


@pytest.mark.parametrize("placeholder", ["png-base64", "png-data-url", "jpeg-base64:95", "jpeg-data-url"])
def test_pictures_stand_within_texts(placeholder: str) -> None:
    protocol = with_body(f'{{"image": "before {{image:{placeholder}}} after"}}')
    text = body(protocol.request(TWO_GREY[:1]))["image"]
    assert text.startswith("before ")
    assert text.endswith(" after")
    encoded = text.removeprefix("before ").removesuffix(" after").rpartition(",")[2]
    pixels = decoded(base64.b64decode(encoded, validate=True))
    exact = np.array_equal(pixels, TWO_GREY[0, 0].numpy())
    assert exact == placeholder.startswith("png")
    assert pixels.shape == (2, 2)
    assert ("lossy" in protocol.encoding) == placeholder.startswith("jpeg")
    assert protocol.spec.max_batch == 1


def test_lists_stand_in_the_place_of_texts() -> None:
    protocol = described(
        'num_classes = 3\n[request]\nbody = \'{"a": ["{image:nested-list}"]}\'\nmany = true\n'
        "layout = 'NHWC'\nscale = 255\n[response]\nanswers = '@'\nscores = '@'"
    )
    assert body(protocol.request(TWO_GREY)) == {"a": TWO_GREY.permute(0, 2, 3, 1).tolist()}
    assert not protocol.spec.eight_bit
    flat = with_body('{"x": "{image:flat-list}"}', "datatype = 'UINT8'")
    assert body(flat.request(TWO_GREY[:1])) == {"x": [0, 128, 255, 1]}


def test_numbers_in_base64_are_little_endian() -> None:
    protocol = with_body('{"x": "{image:tensor-base64}"}')
    raw = base64.b64decode(body(protocol.request(TWO_GREY[1:]))["x"])
    assert np.frombuffer(raw, "<f4").tolist() == (TWO_GREY[1].float() / 255).flatten().tolist()


@pytest.mark.parametrize(
    ("placeholder", "media"),
    [("png", "image/png"), ("jpeg:50", "image/jpeg"), ("tensor", "application/octet-stream")],
)
def test_a_body_can_be_nothing_but_the_image(placeholder: str, media: str) -> None:
    request = with_body(f"{{image:{placeholder}}}").request(TWO_GREY[:1])
    assert request.headers == {"Content-Type": media}
    if placeholder == "tensor":
        assert request.body == (TWO_GREY[0].float() / 255).numpy().tobytes()
    else:
        assert decoded(request.body).shape == (2, 2)
    other = with_body(f"{{image:{placeholder}}}", 'content_type = "image/x-mine"').request(TWO_GREY[:1])
    assert other.headers == {"Content-Type": "image/x-mine"}


def test_a_body_can_be_written_in_toml() -> None:
    text = '[request.body]\nmodel = "m"\nimages = [[{ b64 = "{image:png-base64}" }]]\n' + LABEL
    tree = body(described(text).request(TWO_GREY[:1]))
    assert tree["model"] == "m"
    assert base64.b64decode(tree["images"][0][0]["b64"]).startswith(b"\x89PNG")


def test_the_element_of_the_innermost_list_is_repeated() -> None:
    text = FULL.replace(
        '"pictures": [{"kind": "hint"}, {"data": "{image:png-base64}"}]', '"p": [["{image:png-base64}", 1]]'
    )
    tree = body(described(text).request(TWO_GREY))
    (inner,) = tree["p"]
    assert len(inner) == 3
    assert inner[2] == 1
    assert [decoded(base64.b64decode(picture)).tolist() for picture in inner[:2]] == TWO_GREY[:, 0].tolist()


@pytest.mark.parametrize(
    ("template", "more", "message"),
    [
        ('{"x": 1}', "", "one placeholder like {image:png-base64}, got 0"),
        ('["{image:png-base64}", "{image:png-base64}"]', "", "one placeholder .* got 2"),
        ('{"x": "{image:gif-base64}"}', "", "there is no {image:gif-base64}; there are png, "),
        ('{"x": "{image:png-base64:90}"}', "", "only jpeg has a quality"),
        ('{"x": "{image:jpeg-base64:0}"}', "", "quality should be between 1 and 100"),
        ('{"x": "{image:nested-list:3}"}', "", "there is no"),
        ('{"x": "a {image:nested-list}"}', "", "becomes a list, so it should be a whole text"),
        ('{"x": "{image:png}"}', "", "and nothing else"),
        ("{image:png}", "many = true", "and nothing else"),
        ('{"x": {image:png-base64}}', "", "body is not JSON"),
        ('{"x": "{image:png-base64}"', "", "body is not JSON"),
        ('{"x": "{image:png-base64}"}', "methd = 1", r"\[request\]: there is no option 'methd'"),
        ('{"x": "{image:nested-list}"}', "std = 0", "above 0"),
    ],
)
def test_requests_that_make_no_sense_are_refused(template: str, more: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        with_body(template, more)


def test_many_images_need_a_list_on_both_sides() -> None:
    with pytest.raises(SpecError, match="needs answers"):
        with_body('["{image:png-base64}"]', "many = true")
    with pytest.raises(SpecError, match="no list around the placeholder"):
        described(
            "[request]\nbody = '{\"x\": \"{image:png-base64}\"}'\nmany = true\n[response]\nanswers='a'\nlabels='b'"
        )


def test_what_json_cannot_hold_is_refused() -> None:
    with pytest.raises(SpecError, match="JSON cannot hold"):
        described(f'[request.body]\nx = "{{image:png-base64}}"\nday = 2026-11-21\n{LABEL}')


@pytest.mark.parametrize(
    ("response", "message"),
    [
        ("", "say where in the reply the answer is"),
        ("entries = 'a'\nscores = 'b'", "entries needs labels"),
        ("labels = 'a['", "labels is not JMESPath"),
        ("labels = 'a'\nidentity = {version = '['}", "identity.version is not JMESPath"),
        ("scores = 'a'", "say num_classes, labels or labels_file"),
        ("label = 'a'", r"\[response\]: there is no option 'label'; did you mean labels"),
    ],
)
def test_responses_that_make_no_sense_are_refused(response: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        described(f"[request]\nbody = '{{image:png}}'\n[response]\n{response}")


def answers(response: str, tree: Any, *, top: str = "") -> tuple[list[str], Any]:
    """The labels and scores that a table [response] finds in a reply about one image."""
    protocol = described(f"{top}\n[request]\nbody = '{{image:png}}'\n[response]\n{response}")
    found = protocol.parse(json_reply(tree), images=1).answers
    scores = None if found.scores is None else found.scores[0].tolist()
    return [protocol.spec.classes.name(int(label)) for label in found.labels], scores


def test_each_form_of_answer_is_found() -> None:
    best = {"predictions": [{"l": "a", "p": 0.25}, {"l": "b", "p": 0.5}]}
    assert answers("labels = 'predictions[].l'\nscores = 'predictions[].p'", best) == (["b"], [0.25, 0.5])
    assert answers("entries = 'predictions'\nlabels = 'l'\nscores = 'p'", best) == (["b"], [0.25, 0.5])
    assert answers("labels = 'predictions[].l'", best) == (["a"], None)  # the first is the best
    assert answers("labels = 'keys(@)'\nscores = 'values(@)'", {"x": 0.25, "y": 0.75}) == (["y"], [0.25, 0.75])
    assert answers("labels = 'top'\nscores = 'p'", {"top": "a", "p": 0.5}) == (["a"], [0.5])
    assert answers("labels = 'n'", {"n": 1}, top="labels = ['x', 'y']") == (["y"], None)
    assert answers("scores = 'p'", {"p": [0.25, 0.75]}, top="num_classes = 2") == (["1"], [0.25, 0.75])
    assert answers("scores = 'p'\nlogits = true", {"p": [-3, 5]}, top="num_classes = 2") == (["1"], [-3, 5])


@pytest.mark.parametrize(
    ("response", "tree"),
    [
        ("entries = 'p'\nlabels = 'l'\nscores = 's'", {"p": [{"l": "a"}, {"s": 0.5}]}),
        ("entries = 'p'\nlabels = 'l'\nscores = 's'", {"p": {"l": "a", "s": 1}}),
        ("labels = 'p[].l'\nscores = 'p[].s'", {"p": [{"l": "a", "s": 0.5}, {"l": "b"}]}),
        ("labels = 'p'", {"p": ""}),
        ("labels = 'p'", {"p": None}),
        ("labels = 'p'", {"p": {"a": 1}}),
        ("labels = 'p'", []),
        ("labels = 'keys(p)'", {"p": 3}),
        ("labels = 'to_number(p) && abs(`1`)'", {"p": "x"}),
        ("answers = 'p'\nlabels = '@'", {"p": ["a", "b"]}),
        ("answers = 'p'\nlabels = '@'", {"p": "a"}),
    ],
)
def test_what_is_no_answer_is_refused(response: str, tree: object) -> None:
    with pytest.raises(AnswerError):
        answers(response, tree)


@pytest.mark.parametrize("response", ["entries = 'p'\nlabels = 'l'", "labels = 'p[].l'", "labels = 'p'\nscores = 'p'"])
def test_what_names_no_label_is_not_asked_about_again(response: str) -> None:
    assert answers(response, {"p": []}) == ([NONE_OF_THESE], [0.0] if "scores" in response else None)
    with pytest.raises(ImageRefused, match="named no label for an image"):
        answers(response, {"p": []}, top="labels = ['x', 'y']")
    with pytest.raises(AnswerError):  # another form: an error in the place of an answer, which may pass
        answers(response, {"error": "overloaded"})


@pytest.mark.parametrize(
    ("response", "tree", "label"),
    [
        ("labels = 'n[:5]'\nscores = 's[:5]'", {"n": ["x", "y"], "s": [0.7, 0.3]}, "x"),
        ("labels = 'n[::-1]'", {"n": ["x", "y"]}, "y"),
        ("labels = 'n[-1:] | [0]'", {"n": ["x", "y"]}, "y"),
        ("labels = 'a[1:].n'", {"a": [{"n": "x"}, {"n": "y"}]}, "y"),
        ("labels = 'sort_by(a[:9], &s)[-1].n'", {"a": [{"n": "x", "s": 2}, {"n": "y", "s": 1}]}, "x"),
        ("labels = 'a[?s > `1`] | [0].n'", {"a": [{"n": "x", "s": 2}, {"n": "y", "s": 1}]}, "x"),
        ("labels = 'not_null(missing, n)'", {"n": "x"}, "x"),
        ("labels = 'a.*.n | [0]'", {"a": {"b": {"n": "x"}}}, "x"),
        ("labels = '[a, n][1]'", {"n": "x"}, "x"),
        ("labels = '{b: n}.b'", {"n": "x"}, "x"),
        ("labels = 'ok && n || m'", {"ok": True, "n": "x"}, "x"),
        ("labels = 'max_by(a, &s).n'", {"a": [{"n": "x", "s": 2}, {"n": "y", "s": 1}]}, "x"),
    ],
)
def test_every_expression_of_jmespath_is_taken(response: str, tree: object, label: str) -> None:
    assert answers(response, tree)[0][0] == label


def test_html_is_no_answer() -> None:
    protocol = with_body("{image:png}")
    with pytest.raises(AnswerError, match="not JSON"):
        protocol.parse(Reply(200, {}, b"<html>"), images=1)


def test_the_description_is_part_of_the_fingerprint() -> None:
    texts = [
        FULL,
        FULL.replace('"top": 5', '"top": 6'),
        FULL.replace("score_scale = 0.01", "score_scale = 0.001"),
        FULL.replace('labels = "name"', 'labels = "id"'),
        FULL.replace("png-base64", "jpeg-base64"),
        FULL.replace("many = true", "many = true\nchannels = 'rgb'"),
        "label_map = {oak = 'tree'}" + FULL,
    ]
    fingerprints = [described(text).spec.fingerprint for text in texts]
    assert len(set(fingerprints)) == len(texts)
    assert described(FULL + "\n").spec.fingerprint == fingerprints[0]


def test_images_do_not_disturb_the_template() -> None:
    """No picture or number can hold a mark, and nothing that is filled in is looked at again."""
    protocol = described(FULL.replace('"top": 5', '"top": "{image }", "note": "\\u0000each {labels}"'))
    tree = body(protocol.request(torch.zeros(1, 1, 2, 2)))
    assert tree["note"] == "\0each {labels}"
    assert json.dumps(tree).count("iVBOR") == 1


TELLING = LABEL + "input_tokens = 'bill.read'\n"


@pytest.mark.parametrize(
    ("response", "tree", "usage"),
    [
        (TELLING + "output_tokens = 'sum(bill.written)'", {"bill": {"read": 7, "written": [1, 2]}}, Usage(7, 3)),
        (TELLING, {"bill": {"read": 7}}, Usage(7, 0)),
        (TELLING, {"label": "cat"}, None),
        (TELLING, {"bill": {"read": "7"}}, None),
        (TELLING + "output_tokens = 'bill.written'", {"bill": {"read": 7}}, None),
        (LABEL, {"bill": {"read": 7}}, None),
    ],
)
def test_replies_tell_tokens_where_the_description_says(
    response: str, tree: dict[str, Any], usage: Usage | None
) -> None:
    protocol = described('[request]\nbody = \'{"a": "{image:png-base64}"}\'\n' + response)
    assert isinstance(protocol, TellingUsage)
    assert protocol.usage(json_reply(tree)) == usage
    assert protocol.usage(Reply(200, body=b"no JSON")) is None
    assert protocol.spec.fingerprint == with_body('{"a": "{image:png-base64}"}').spec.fingerprint


def test_tokens_that_are_written_need_those_that_are_read() -> None:
    with pytest.raises(SpecError, match="output_tokens needs input_tokens"):
        described("[request]\nbody = '\"{image:png-base64}\"'\n" + LABEL + "output_tokens = 'a'")
