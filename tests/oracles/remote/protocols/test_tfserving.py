from typing import Any

import pytest

from oracles import AnswerError, OracleUnavailable, SpecError
from oracles.remote.messages import Reply
from oracles.remote.wire_protocol import WireProtocol
from tests.oracles.remote.protocols.wire import TWO_GREY, connected, json_reply, recorded_reply, recorded_request

MODEL = "http://127.0.0.1:8501/v1/models/half"


def status(*versions: tuple[str, str]) -> dict[str, object]:
    """What the server says about the versions of a model."""
    return {
        "model_version_status": [
            {"version": version, "state": state, "status": {"error_code": "OK", "error_message": ""}}
            for version, state in versions
        ]
    }


AVAILABLE = status(("7", "END"), ("9", "AVAILABLE"), ("10", "AVAILABLE"), ("11", "LOADING"))


def half(options: dict[str, object] | None = None, url: str = MODEL, known: object = AVAILABLE) -> WireProtocol:
    return connected("tfserving", url, {"num_classes": 3, **(options or {})}, {url: known})


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("tfserving-rows", {}),
        ("tfserving-columns", {"columns": "true", "input": "images", "signature": "classify", "layout": "NCHW"}),
        ("tfserving-pictures", {"as_picture": "true", "input": "image_bytes"}),
        ("tfserving-bare-pictures", {"as_picture": "true", "columns": "true"}),
    ],
)
def test_requests_are_as_recorded(name: str, options: dict[str, object]) -> None:
    request = half(options).request(TWO_GREY)
    assert (request, request.body) == (recorded_request(name), recorded_request(name).body)


@pytest.mark.parametrize(
    ("name", "options"),
    [("tfserving-rows", {}), ("tfserving-columns", {"columns": "true", "output": "scores"})],
)
def test_scores_are_understood(name: str, options: dict[str, object]) -> None:
    parsed = half(options).parse(recorded_reply(name), images=2)
    assert parsed.answers.labels.tolist() == [1, 0]
    assert parsed.answers.scores is not None
    assert parsed.answers.scores.tolist() == [[0.25, 0.625, 0.125], [0.5, 0.25, 0.25]]
    assert parsed.identity == {"version": "10", "unit of scores": "probabilities"}


def test_labels_are_understood() -> None:
    columns = connected(
        "tfserving", MODEL, {"feedback": "labels", "columns": "true", "output": "classes"}, {MODEL: AVAILABLE}
    )
    answers = columns.parse(recorded_reply("tfserving-columns"), images=2).answers
    assert [columns.spec.classes.name(int(label)) for label in answers.labels] == ["b", "a"]
    rows = half({"feedback": "labels", "output": "class"})
    named = json_reply({"predictions": [{"class": 2, "scores": []}, {"class": 0, "scores": []}]})
    assert rows.parse(named, images=2).answers.labels.tolist() == [2, 0]


def test_the_version_that_is_available_is_asked_for_by_number() -> None:
    assert half().request(TWO_GREY).url == f"{MODEL}/versions/10:predict"
    pinned = half(url=f"{MODEL}/versions/9", known=status(("9", "AVAILABLE")))
    assert pinned.request(TWO_GREY).url == f"{MODEL}/versions/9:predict"
    labelled = half(url=f"{MODEL}/labels/stable", known=status(("8", "AVAILABLE")))
    assert labelled.request(TWO_GREY).url == f"{MODEL}/versions/8:predict"
    assert half().spec.fingerprint != half(known=status(("9", "AVAILABLE"))).spec.fingerprint


def test_a_server_without_versions_is_asked_as_it_is() -> None:
    kserve = half(known={"name": "half", "ready": True})
    assert kserve.request(TWO_GREY).url == f"{MODEL}:predict"
    assert kserve.parse(recorded_reply("tfserving-rows"), images=2).identity == {"unit of scores": "probabilities"}


@pytest.mark.parametrize("known", [status(("1", "LOADING")), status(), Reply(404, {}, b'{"error": "Could not find"}')])
def test_a_model_that_is_not_there_is_unavailable(known: object) -> None:
    with pytest.raises(OracleUnavailable):
        half(known=known)


@pytest.mark.parametrize(
    "known", [status(("x", "AVAILABLE")), {"model_version_status": 3}, {"model_version_status": [{}]}, []]
)
def test_a_status_of_another_form_is_refused(known: object) -> None:
    with pytest.raises(AnswerError):
        half(known=known)


@pytest.mark.parametrize(
    "body",
    [
        b'{"predictions": [[0.25, NaN, 0.125], [0.5, 0.25, 0.25]]}',
        b'{"predictions": [[0.25, Infinity, 0.125], [0.5, 0.25, 0.25]]}',
        b'{"predictions": [[0.25, 0.625, 0.125]]}',
        b'{"predictions": [0.25, 0.625]}',
        b'{"predictions": {"scores": [[0.25, 0.625, 0.125], [0.5, 0.25, 0.25]]}}',
        b'{"outputs": [[0.25, 0.625, 0.125], [0.5, 0.25, 0.25]]}',
        b'{"error": "Servable not found for request: Latest(half)"}',
        b"[]",
    ],
)
def test_what_is_no_answer_is_refused(body: bytes) -> None:
    with pytest.raises(AnswerError):
        half().parse(Reply(200, {}, body), images=2)


def test_an_output_that_is_not_there_is_refused() -> None:
    with pytest.raises(AnswerError):
        half({"output": "x", "columns": "true"}).parse(recorded_reply("tfserving-columns"), images=2)
    rows = json_reply({"predictions": [{"scores": [0.25, 0.5, 0.25], "classes": 1}] * 2})
    with pytest.raises(AnswerError):
        half({"output": "x"}).parse(rows, images=2)


def test_an_output_that_is_the_only_one_may_be_named_all_the_same() -> None:
    answers = half({"output": "scores"}).parse(recorded_reply("tfserving-rows"), images=2).answers
    assert answers.labels.tolist() == [1, 0]
    columns = json_reply({"outputs": [[0.25, 0.625, 0.125]]})
    assert half({"output": "scores", "columns": "true"}).parse(columns, images=1).answers.labels.tolist() == [1]


def test_what_is_missing_is_said() -> None:
    with pytest.raises(SpecError, match="say num_classes, labels or labels_file"):
        connected("tfserving", MODEL, {}, {MODEL: AVAILABLE})
    with pytest.raises(SpecError, match="should end in /v1/models/NAME"):
        half(url="http://127.0.0.1:8501/half")


@pytest.mark.parametrize(
    "found", [[2, 0], [[2], [0]], [[[2]], [[0]]], [["c"], ["a"]], ["c", "a"], [{"label": ["c"]}, {"label": "a"}]]
)
@pytest.mark.parametrize("columns", [False, True])
def test_axes_of_length_one_around_a_label_do_not_matter(found: list[object], columns: bool) -> None:
    options = {"labels": "a,b,c", "feedback": "labels", "output": "label"} | _as(columns)
    protocol = connected("tfserving", MODEL, options, {MODEL: AVAILABLE})
    reply = json_reply({"outputs" if columns else "predictions": found})
    assert protocol.parse(reply, images=2).answers.labels.tolist() == [2, 0]


@pytest.mark.parametrize("columns", [False, True])
def test_one_label_of_one_image_may_stand_in_any_number_of_lists(columns: bool) -> None:
    key = "outputs" if columns else "predictions"
    numbers = half({"feedback": "labels"} | _as(columns))
    assert numbers.parse(json_reply({key: [[1]]}), images=1).answers.labels.tolist() == [1]
    words = connected("tfserving", MODEL, {"feedback": "labels"} | _as(columns), {MODEL: AVAILABLE})
    label = int(words.parse(json_reply({key: [["dog"]]}), images=1).answers.labels[0])
    assert words.spec.classes.name(label) == "dog"


@pytest.mark.parametrize("columns", [False, True])
def test_trailing_axes_of_length_one_around_scores_do_not_matter(columns: bool) -> None:
    rows = [[0.25, 0.625, 0.125], [0.5, 0.25, 0.25]]
    protocol = half(_as(columns))
    forms: list[list[Any]] = [
        [[[score] for score in row] for row in rows],
        [[[[score]] for score in row] for row in rows],
        [[row] for row in rows],
    ]
    for form in forms:
        answers = protocol.parse(json_reply({"outputs" if columns else "predictions": form}), images=2).answers
        assert answers.scores is not None
        assert answers.scores.tolist() == rows


@pytest.mark.parametrize(
    "found", [[[1, 2], [0]], [[], [0]], [[[1], [2]], [[0]]], [[None], [0]], [[1.5], [0]], [[True], [0]]]
)
def test_what_is_not_one_label_an_image_is_refused(found: object) -> None:
    with pytest.raises(AnswerError):
        half({"feedback": "labels"}).parse(json_reply({"predictions": found}), images=2)


def _as(columns: bool) -> dict[str, object]:
    return {"columns": "true"} if columns else {}


@pytest.mark.parametrize(
    ("protocol", "url"), [("tfserving", "http://h/v1/models/m"), ("torchserve", "http://h/predictions/m")]
)
def test_integers_that_are_one_hot_are_scores_and_never_class_numbers(protocol: str, url: str) -> None:
    reply = json_reply({"predictions": [[0, 0, 1], [1, 0, 0], [0, 1, 0]]})
    known: dict[str, object] = {"http://h/v1/models/m": {}}
    scores = connected(protocol, url, {"num_classes": "3"}, known)
    assert scores.parse(reply, images=3).answers.labels.tolist() == [2, 0, 1]
    labels = connected(protocol, url, {"num_classes": "3", "feedback": "labels"}, known)
    with pytest.raises(AnswerError, match="should name a label"):
        labels.parse(reply, images=3)
