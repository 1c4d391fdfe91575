import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from oracles import AnswerError, Answers, Feedback, FunctionOracle, OracleUnavailable, SpecError, StorageError
from oracles.oracle import Classes
from oracles.python_module import Function, open_module

IMAGES = torch.tensor([-0.5, 0.0, 0.25, 1.0, 1.5]).reshape(5, 1, 1, 1).expand(5, 1, 2, 2).clone()


def function_oracle(function: Function, **options: Any) -> FunctionOracle:
    settings: dict[str, Any] = {"classes": Classes.numbered(2), "feedback": None} | options
    return FunctionOracle(function, name="function", fingerprint="00", **settings)


def returning(value: object, **options: Any) -> FunctionOracle:
    return function_oracle(lambda array: value, **options)


@pytest.mark.parametrize("images", [IMAGES, IMAGES.double(), IMAGES.half(), IMAGES.bfloat16()])
def test_the_function_sees_clipped_float32_images(images: torch.Tensor) -> None:
    seen: list[np.ndarray[Any, Any]] = []

    def look(array: np.ndarray[Any, Any]) -> list[int]:
        seen.append(array.copy())
        return [0] * len(array)

    function_oracle(look).query(images)
    (array,) = seen
    assert (array.dtype, array.shape, array.flags.c_contiguous) == (np.float32, (5, 1, 2, 2), True)
    assert array[:, 0, 0, 0].tolist() == [0.0, 0.0, 0.25, 1.0, 1.0]


def test_8_bit_images_reach_the_function_with_white_at_1() -> None:
    seen: list[np.ndarray[Any, Any]] = []

    def look(array: np.ndarray[Any, Any]) -> list[int]:
        seen.append(array.copy())
        return [0] * len(array)

    function_oracle(look).query(torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(3, 1, 1, 1))
    assert seen[0].dtype == np.float32
    np.testing.assert_array_equal(seen[0].ravel(), np.array([0, 51, 255], dtype=np.float32) / 255)


@pytest.mark.parametrize("images", [IMAGES.clamp(0, 1), IMAGES.to(torch.uint8)])
def test_a_function_that_writes_to_its_images_does_not_change_the_callers(images: torch.Tensor) -> None:
    def scribble(array: np.ndarray[Any, Any]) -> list[int]:
        array[:] = 7
        return [0] * len(array)

    before = images.clone()
    function_oracle(scribble).query(images)
    assert torch.equal(images, before)


@pytest.mark.parametrize(
    "labels",
    [
        [0, 1, 1, 0, 1],
        (0, 1, 1, 0, 1),
        *(np.array([0, 1, 1, 0, 1], dtype=kind) for kind in ("bool", "i1", "u1", "u2", "u4", "u8", "i4", "i8", ">i4")),
        np.array([0, 9, 1, 9, 1, 9, 0, 9, 1, 9])[::2],
        torch.tensor([0, 1, 1, 0, 1]),
    ],
    ids=repr,
)
@pytest.mark.parametrize("feedback", [None, Feedback.LABELS])
@pytest.mark.parametrize("open_set", [False, True])
def test_labels_of_every_integer_type_are_understood(labels: object, feedback: Feedback | None, open_set: bool) -> None:
    classes = Classes(open_set=True, numbers_only=True) if open_set else Classes.numbered(2)
    answers = returning(labels, feedback=feedback, classes=classes).query(IMAGES)
    assert answers.labels.tolist() == [0, 1, 1, 0, 1]
    assert answers.scores is None
    assert classes.names == ("0", "1")


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "g", ">f4"])
@pytest.mark.parametrize("feedback", [None, Feedback.PROBABILITIES, Feedback.LOGITS])
def test_scores_of_every_float_type_are_understood(kind: str, feedback: Feedback | None) -> None:
    scores = np.array([[0.25, 0.75], [0.5, 0.5], [1, 0], [0, 1], [0.75, 0.25]], dtype=kind)
    answers = returning(scores, feedback=feedback).query(IMAGES)
    assert answers.labels.tolist() == [1, 0, 0, 1, 0]
    assert answers.scores is not None
    assert answers.scores.tolist() == scores.tolist()


BAD_ANSWERS: list[Any] = [
    [0, 1, 1, 0],
    [0, 1, 1, 0, 2],
    [0, 1, 1, 0, -1],
    [0.0, 1.0, 1.0, 0.0, 1.0],
    [[0], [1], [1], [0], [1]],
    np.zeros((4, 2)),
    np.zeros((5, 3)),
    np.zeros((2, 5)),
    np.zeros((5, 2, 1)),
    np.zeros((5, 0)),
    np.zeros((0, 2)),
    np.full((5, 2), np.nan),
    np.full((5, 2), np.inf),
    np.full((5, 2), 1.5),
    np.full((5, 2), -0.5),
    ["cat", "dog", "cat", "dog", "cat"],
    "cat",
    b"cat",
    None,
    3,
    0.5,
    True,
    {},
    object(),
    [None] * 5,
    [],
    np.zeros((5, 2), dtype=complex),
    np.array(["2026-01-01"] * 5, dtype="M8"),
]


@pytest.mark.parametrize("answer", BAD_ANSWERS, ids=lambda one: "object" if type(one) is object else repr(one))
@pytest.mark.parametrize("feedback", [None, Feedback.PROBABILITIES, Feedback.LABELS])
def test_what_is_not_one_answer_an_image_is_refused(answer: object, feedback: Feedback | None) -> None:
    with pytest.raises(AnswerError, match="function"):
        returning(answer, feedback=feedback).query(IMAGES)


@pytest.mark.parametrize(
    "answer", [np.zeros((5, 0)), [], 3, None, [0, 1, 1, 0, -1], np.zeros((4, 2)), [0, 1, 10**6, 0]], ids=repr
)
@pytest.mark.parametrize("feedback", [None, Feedback.PROBABILITIES, Feedback.LABELS])
def test_an_open_set_refuses_them_too(answer: object, feedback: Feedback | None) -> None:
    classes = Classes(open_set=True, numbers_only=True)
    with pytest.raises(AnswerError, match="function"):
        returning(answer, feedback=feedback, classes=classes).query(IMAGES)
    assert len(classes) <= 2


@pytest.mark.parametrize(
    ("answer", "labels"), [([3, 0, 3, 1, 0], "30310"), (np.eye(4)[[3, 0, 3, 1, 0]], "30310")], ids=["labels", "scores"]
)
def test_classes_that_were_named_before_the_first_answer_are_still_the_functions(answer: object, labels: str) -> None:
    classes = Classes(open_set=True, numbers_only=True)
    assert [classes.number(name) for name in "31"] == [0, 1]  # as by the labels of data, or by certificates
    answers = returning(answer, feedback=None, classes=classes).query(IMAGES)
    assert [classes.name(int(number)) for number in answers.labels] == list(labels)
    assert answers.scores is None or answers.scores.argmax(1).tolist() == answers.labels.tolist()


def test_a_number_that_can_be_no_class_fills_no_memory() -> None:
    classes = Classes(open_set=True, numbers_only=True)
    with pytest.raises(AnswerError, match="answered class 1,000,000,000, of which there are at most"):
        returning([10**9] * 5, feedback=None, classes=classes).query(IMAGES)
    assert len(classes) == 0


def test_rows_of_different_lengths_are_not_an_answer() -> None:
    with pytest.raises(AnswerError, match="function"):
        returning([[0.1, 0.9], [0.3]]).query(IMAGES[:2])


def test_logits_may_be_any_finite_number() -> None:
    answers = returning([[-30.0, 12.0]], feedback=Feedback.LOGITS).query(IMAGES[:1])
    assert answers.labels.tolist() == [1]


def test_what_the_function_raises_is_the_cause() -> None:
    def broken(array: object) -> object:
        raise ZeroDivisionError("by me")

    with pytest.raises(OracleUnavailable, match="function raised ZeroDivisionError: by me") as stop:
        function_oracle(broken).query(IMAGES)
    assert isinstance(stop.value.__cause__, ZeroDivisionError)


def test_a_function_cannot_end_a_run_as_if_all_were_well() -> None:
    with pytest.raises(OracleUnavailable, match="function raised SystemExit: 0"):
        function_oracle(lambda array: sys.exit(0)).query(IMAGES)


def test_errors_with_a_meaning_and_interrupts_pass_through() -> None:
    def full(array: object) -> object:
        raise StorageError("full")

    def stop(array: object) -> object:
        raise KeyboardInterrupt

    with pytest.raises(StorageError, match="full"):
        function_oracle(full).query(IMAGES)
    with pytest.raises(KeyboardInterrupt):
        function_oracle(stop).query(IMAGES)


@pytest.mark.parametrize("labels", [False, True])
def test_a_function_that_reuses_its_output_changes_no_earlier_answer(labels: bool) -> None:
    kept = np.zeros(2, dtype=np.int64) if labels else np.zeros((2, 2), dtype=np.float32)

    def classify(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        bright = array.mean((1, 2, 3)) > 0.5
        kept[:] = bright if labels else np.stack([~bright, bright], 1)
        return kept

    oracle = function_oracle(classify)
    dark, bright = torch.zeros(2, 1, 2, 2), torch.ones(2, 1, 2, 2)
    first = oracle.query(dark)
    oracle.query(bright)
    assert first.labels.tolist() == [0, 0]
    if not labels:
        assert first.scores is not None
        assert first.scores.tolist() == [[1, 0], [1, 0]]


def test_the_function_is_called_by_one_thread_at_a_time() -> None:
    inside, most = [0], [0]

    def count(array: np.ndarray[Any, Any]) -> list[int]:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.002)
        inside[0] -= 1
        return [0] * len(array)

    oracle = function_oracle(count)
    threads = [threading.Thread(target=oracle.query, args=[IMAGES]) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def module(tmp_path: Path, source: str, name: str = "mine.py") -> Path:
    file = tmp_path / name
    file.write_text(source)
    return file


LABELS = "def classify(images):\n    return [int(image.mean() > 0.5) for image in images]\n"


def ask(location: str, **options: str) -> Answers:
    return open_module(location, options).query(IMAGES)


def test_a_function_of_a_file_is_an_oracle(tmp_path: Path) -> None:
    file = module(tmp_path, LABELS)
    oracle = open_module(f"{file}:classify", {})
    assert oracle.query(IMAGES).labels.tolist() == [0, 0, 0, 1, 1]
    assert (oracle.spec.name, oracle.spec.deterministic, oracle.spec.image_shape) == (
        "module:mine.py:classify",
        True,
        None,
    )
    assert oracle.spec.classes.open_set
    assert oracle.spec.classes.numbers_only


def test_options_describe_the_function(tmp_path: Path) -> None:
    file = module(tmp_path, LABELS)
    options = {"classes": "dark,light", "feedback": "labels", "image_shape": "1x2x2", "deterministic": "false"}
    spec = open_module(f"{file}:classify", options).spec
    assert spec.classes.names == ("dark", "light")
    assert (spec.feedback, spec.image_shape, spec.deterministic) == (Feedback.LABELS, (1, 2, 2), False)
    assert len(open_module(f"{file}:classify", {"num_classes": "10"}).spec.classes) == 10


def test_the_fingerprint_follows_the_file_and_the_function(tmp_path: Path) -> None:
    both = LABELS + LABELS.replace("classify", "other")
    sources = [(LABELS, "classify"), (LABELS + "\n", "classify"), (both, "classify"), (both, "other")]
    prints = [
        open_module(f"{module(tmp_path, source)}:{name}", {}).spec.fingerprint
        for source, name in [*sources, sources[0]]
    ]
    assert len(set(prints)) == 4
    assert prints[0] == prints[-1]
    assert bytes.fromhex(prints[0])


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("mine.py", "named module:PATH.py:function, got module:mine.py"),
        ("", "named module:PATH.py:function"),
        (":classify", "named module:PATH.py:function"),
        ("{folder}/mine.py:", "named module:PATH.py:function"),
        ("{folder}/none.py:classify", r"no such file: .*none\.py"),
        ("{folder}:classify", "no such file"),
        ("{folder}/mine.py:absent", "has no function 'absent'; it has classify"),
        ("{folder}/mine.py:LIMIT", "has no function 'LIMIT'"),
        ("{folder}/notes.txt:classify", "its name must end in .py"),
        ("{folder}/broken.py:classify", "cannot be imported: SyntaxError"),
        ("{folder}/needy.py:classify", "cannot be imported: ModuleNotFoundError: No module named 'no_such_package'"),
        ("{folder}/leaving.py:classify", "cannot be imported: SystemExit: 0"),
        ("{folder}/empty.py:classify", "it has none"),
    ],
)
def test_a_name_that_leads_nowhere_says_why(tmp_path: Path, location: str, message: str) -> None:
    module(tmp_path, LABELS + "LIMIT = 0.5\n")
    module(tmp_path, "notes", "notes.txt")
    module(tmp_path, "def classify(:\n", "broken.py")
    module(tmp_path, "import no_such_package\n", "needy.py")
    module(tmp_path, "raise SystemExit(0)\n", "leaving.py")
    module(tmp_path, "", "empty.py")
    with pytest.raises(SpecError, match=message):
        open_module(location.format(folder=tmp_path), {})


@pytest.mark.parametrize(
    "options",
    [
        {"num_clases": "3"},
        {"num_classes": "0"},
        {"num_classes": "-1"},
        {"num_classes": "many"},
        {"num_classes": "²"},
        {"num_classes": ""},
        {"classes": "cat,cat"},
        {"feedback": "top-k"},
        {"feedback": "Labels"},
        {"deterministic": "maybe"},
        {"image_shape": "3x224"},
        {"image_shape": "3x224x0"},
        {"image_shape": "3x2²x4"},
        {"image_shape": "224"},
        {"image_shape": "-1x2x2"},
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_refused_by_name(tmp_path: Path, options: dict[str, str]) -> None:
    with pytest.raises(SpecError, match="num_clas|class names|feedback|deterministic|image_shape"):
        open_module(f"{module(tmp_path, LABELS)}:classify", options)


def test_a_file_may_define_data_classes_with_postponed_annotations(tmp_path: Path) -> None:
    source = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Model:\n    limit: float\n    def __call__(self, images):\n"
        "        return [int(image.mean() > self.limit) for image in images]\n"
        "classify = Model(0.5)\n"
    )
    assert ask(f"{module(tmp_path, source)}:classify").labels.tolist() == [0, 0, 0, 1, 1]


def test_a_file_that_is_called_like_a_module_hides_nothing(tmp_path: Path) -> None:
    import json

    file = module(tmp_path, LABELS, "json.py")
    assert ask(f"{file}:classify").labels.tolist() == [0, 0, 0, 1, 1]
    assert sys.modules["json"] is json


def test_two_files_of_one_name_are_two_oracles(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one = open_module(f"{module(tmp_path, LABELS)}:classify", {})
    other = open_module(f"{module(tmp_path / 'other', LABELS.replace('>', '<='))}:classify", {})
    assert one.query(IMAGES).labels.tolist() == [0, 0, 0, 1, 1]
    assert other.query(IMAGES).labels.tolist() == [1, 1, 1, 0, 0]
