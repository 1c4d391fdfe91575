import pickle
import re
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from oracles import AnswerError, Answers, Feedback, Oracle, ShapeError, SpecError
from oracles.oracle import Classes
from tests.builders import halfspace, spec

NAN, INF = float("nan"), float("inf")


def test_the_highest_score_is_the_label_and_of_equals_the_lowest_number() -> None:
    answers = Answers.from_scores(torch.tensor([[0.1, 0.8, 0.1], [0.4, 0.2, 0.4]]), spec(3), images=2)
    assert answers.labels.tolist() == [1, 0]
    assert len(answers) == 2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_scores_of_any_float_type_become_float32(dtype: torch.dtype) -> None:
    answers = Answers.from_scores(torch.tensor([[0.25, 0.75]], dtype=dtype, requires_grad=True), spec(2), images=1)
    assert answers.scores is not None
    assert (answers.scores.dtype, answers.scores.requires_grad) == (torch.float32, False)
    assert answers.scores.tolist() == [[0.25, 0.75]]


@pytest.mark.parametrize("shape", [(2,), (2, 2), (2, 4), (1, 3), (3, 2), (2, 3, 1), (), (0, 3)])
def test_scores_of_the_wrong_shape_are_not_an_answer(shape: tuple[int, ...]) -> None:
    with pytest.raises(AnswerError, match="scores of shape"):
        Answers.from_scores(torch.zeros(shape), spec(3), images=2)


@pytest.mark.parametrize("feedback", [Feedback.PROBABILITIES, Feedback.LOGITS])
@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_a_score_that_is_not_finite_is_not_an_answer(feedback: Feedback, bad: float) -> None:
    with pytest.raises(AnswerError, match="1 of 2 images"):
        Answers.from_scores(torch.tensor([[0.5, 0.5], [bad, 1.0]]), spec(2, feedback=feedback), images=2)


@pytest.mark.parametrize("bad", [-0.01, 1.01, 7.0])
def test_a_probability_outside_0_to_1_is_not_an_answer_but_a_logit_may_be(bad: float) -> None:
    scores = torch.tensor([[bad, 0.5]])
    with pytest.raises(AnswerError, match="are they logits. then say feedback=logits"):
        Answers.from_scores(scores, spec(2), images=1)
    assert len(Answers.from_scores(scores, spec(2, feedback=Feedback.LOGITS), images=1)) == 1


def test_of_an_open_set_nobody_knows_how_many_answers_there_should_be() -> None:
    unknown = replace(spec(2), classes=Classes(open_set=True, numbers_only=True))
    with pytest.raises(AnswerError, match=re.escape("scores of shape (2, classes), got (2, 3, 1)")):
        Answers.from_scores(torch.zeros(2, 3, 1), unknown, images=2)
    with pytest.raises(AnswerError, match="a class number below 0"):
        Answers.from_labels([-1, -1], unknown, images=2)


def test_rounding_beyond_0_to_1_is_forgiven() -> None:
    Answers.from_scores(torch.tensor([[1.0000002, -0.0000002]]), spec(2), images=1)


def test_top_k_answers_may_leave_classes_out_but_not_all_of_them() -> None:
    top = spec(3, feedback=Feedback.TOP_K)
    answers = Answers.from_scores(torch.tensor([[NAN, -2.0, NAN], [0.1, NAN, 0.3]]), top, images=2)
    assert answers.labels.tolist() == [1, 2]
    for row in ([NAN, NAN, NAN], [INF, 0.1, 0.1], [-INF, NAN, NAN]):
        with pytest.raises(AnswerError):
            Answers.from_scores(torch.tensor([row]), top, images=1)


def test_scores_for_no_class_at_all_are_not_an_answer() -> None:
    with pytest.raises(AnswerError):
        Answers.from_scores(torch.zeros(2, 0), spec(Classes(open_set=True)), images=2)


@pytest.mark.parametrize("labels", [[0, 3], [-1, 0], [0], [0, 1, 2], [0.0, 1.0], [[0, 1]], []])
def test_labels_that_are_not_one_class_an_image_are_not_an_answer(labels: list[int]) -> None:
    with pytest.raises(AnswerError):
        Answers.from_labels(labels, spec(3), images=2)


def test_joined_answers_keep_their_order() -> None:
    parts = [
        Answers(torch.tensor([1]), torch.tensor([[0.1, 0.9]])),
        Answers(torch.tensor([0]), torch.tensor([[0.6, 0.4]])),
    ]
    joined = Answers.join(parts)
    assert joined.labels.tolist() == [1, 0]
    assert joined.scores is not None
    assert torch.equal(joined.scores, torch.tensor([[0.1, 0.9], [0.6, 0.4]]))
    assert Answers.join([Answers(torch.tensor([1]))] * 2).scores is None


def test_answers_from_before_an_open_set_grew_say_nothing_of_the_new_class() -> None:
    joined = Answers.join([Answers(torch.tensor([0]), torch.ones(1, 1)), Answers(torch.tensor([1]), torch.zeros(1, 2))])
    assert joined.scores is not None
    assert torch.equal(joined.scores.isnan(), torch.tensor([[False, True], [False, False]]))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(1, 4, 4), r"got \(1, 4, 4\); add the batch axis"),
        (torch.zeros(2, 3, 4, 4), r"shape \(batch, 1, 4, 4\), got \(2, 3, 4, 4\)"),
        (torch.zeros(0, 1, 4, 4), "empty batch"),
        (torch.zeros(6, 1, 4, 4), "at most 5 images a call, got 6"),
        (torch.zeros(2, 1, 4, 4, dtype=torch.int64), "uint8 or floating-point"),
        (torch.zeros(2, 1, 4, 4, dtype=torch.bool), "uint8 or floating-point"),
    ],
)
def test_images_that_do_not_fit_are_refused_with_what_was_expected(images: torch.Tensor, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        spec(2, image_shape=(1, 4, 4), max_batch=5).check(images)


def test_images_of_any_size_fit_where_no_size_is_named() -> None:
    spec(2).check(torch.zeros(2, 3, 5, 7, dtype=torch.uint8))
    with pytest.raises(ShapeError, match="channels, height, width"):
        spec(2).check(torch.zeros(5, 7))


def test_class_names_stand_once_and_a_closed_set_is_not_empty() -> None:
    with pytest.raises(SpecError, match="differ"):
        Classes(["cat", "dog", "cat"])
    with pytest.raises(SpecError, match="at least one name"):
        Classes([])
    assert Classes.numbered(12).names[-1] == "11"


def test_a_closed_set_refuses_a_new_name_and_an_open_one_learns_it() -> None:
    closed, unlimited = Classes(["cat"]), Classes(["cat"], open_set=True)
    with pytest.raises(AnswerError, match="'dog', which is none of its 1 classes"):
        closed.number("dog")
    assert (unlimited.number("dog"), unlimited.number("cat"), unlimited.number("dog")) == (1, 0, 1)
    assert (unlimited.name(1), len(unlimited)) == ("dog", 2)


def test_threads_that_learn_the_same_names_agree_on_their_numbers() -> None:
    classes, seen = Classes(open_set=True), [dict[str, int]() for _ in range(8)]

    def learn(own: dict[str, int]) -> None:
        for number in range(500):
            own[f"name {number}"] = classes.number(f"name {number}")

    threads = [threading.Thread(target=learn, args=[own]) for own in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(own == seen[0] for own in seen)
    assert sorted(seen[0].values()) == list(range(500))
    assert all(classes.name(number) == name for name, number in seen[0].items())


def test_whatever_can_be_queried_is_an_oracle() -> None:
    assert isinstance(halfspace(), Oracle)
    assert not isinstance(object(), Oracle)


def test_scores_in_an_array_are_the_same_answers_and_become_a_tensor_once() -> None:
    logits = spec(2, feedback=Feedback.LOGITS)
    for dtype in (np.float32, np.float64):
        array = np.array([[0.25, -1.5], [-3.0, 7.0]], dtype)
        answers, others = (Answers.from_scores(each, logits, images=2) for each in (array, torch.from_numpy(array)))
        assert answers.labels.tolist() == others.labels.tolist() == [0, 1]
        assert answers.scores is not None
        assert others.scores is not None
        assert answers.scores.dtype == others.scores.dtype == torch.float32
        assert answers.scores.tolist() == others.scores.tolist() == array.tolist()
        assert answers.scores is answers.scores
        assert pickle.loads(pickle.dumps(answers)).scores.tolist() == array.tolist()
        assert str(array[1, 0]) in repr(answers)
