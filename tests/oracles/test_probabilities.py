import math

import pytest
import torch

from oracles import Answers, Feedback
from oracles.probabilities import class_probabilities, true_class_probabilities

NAN = math.nan
SCORES = torch.tensor([[0.7, 0.2, 0.1], [0.0, 0.5, 0.5]])
LABELS = torch.tensor([0, 1])


def test_probabilities_stand_for_themselves() -> None:
    answers = Answers(LABELS, SCORES)
    torch.testing.assert_close(class_probabilities(answers, Feedback.PROBABILITIES, 3), SCORES)
    truth = torch.tensor([0, 0])
    assert true_class_probabilities(answers, truth, Feedback.PROBABILITIES).tolist() == pytest.approx([0.7, 0.0])


def test_logits_become_probabilities() -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0], [0.0, 5.0, -1.0]])
    torch.testing.assert_close(class_probabilities(Answers(LABELS, logits), Feedback.LOGITS, 3), logits.softmax(1))


def test_classes_that_a_top_k_answer_leaves_out_share_the_rest() -> None:
    scores = torch.tensor([[0.6, 0.3, NAN, NAN], [NAN, 0.6, NAN, NAN], [NAN, 1.0, NAN, NAN]])
    expected = [[0.6, 0.3, 0.05, 0.05], [0.4 / 3, 0.6, 0.4 / 3, 0.4 / 3], [0, 1, 0, 0]]
    found = class_probabilities(Answers(torch.tensor([0, 1, 1]), scores), Feedback.TOP_K, 4)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float32))


@pytest.mark.parametrize("feedback", list(Feedback))
def test_a_label_alone_is_believed_in_full(feedback: Feedback) -> None:
    assert class_probabilities(Answers(LABELS), feedback, 3).tolist() == [[1, 0, 0], [0, 1, 0]]
    assert true_class_probabilities(Answers(LABELS), torch.tensor([0, 2]), feedback).tolist() == [1, 0]


@pytest.mark.parametrize("answers", [Answers(LABELS, SCORES), Answers(torch.tensor([0, 5]))], ids=["scores", "labels"])
@pytest.mark.parametrize("num_classes", [1, 3, 8])
def test_there_are_as_many_classes_as_asked_for(answers: Answers, num_classes: int) -> None:
    assert class_probabilities(answers, Feedback.PROBABILITIES, num_classes).shape == (2, num_classes)
