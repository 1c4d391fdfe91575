import math
from itertools import count

import pytest
import torch
from torch import Tensor

from bbsmooth.tuning import BatchObjective, losses_of, true_class_probabilities
from bbsmooth.tuning.objective import FLOOR
from oracles import Answers, Feedback

NAN = math.nan
SCORES = torch.tensor([[0.7, 0.2, 0.1], [0.0, 0.5, 0.5]])
LABELS = torch.tensor([0, 1])
TRUTH = torch.tensor([0, 0])


def test_cross_entropy_of_probabilities_with_a_floor() -> None:
    answers = Answers(LABELS, SCORES)
    assert true_class_probabilities(answers, TRUTH, Feedback.PROBABILITIES).tolist() == pytest.approx([0.7, 0.0])
    assert losses_of(answers, TRUTH, Feedback.PROBABILITIES).tolist() == pytest.approx(
        [-math.log(0.7), -math.log(FLOOR)]
    )


def test_cross_entropy_of_logits() -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0], [0.0, 5.0, -1.0]])
    expected = torch.nn.functional.cross_entropy(logits, TRUTH, reduction="none")
    torch.testing.assert_close(losses_of(Answers(LABELS, logits), TRUTH, Feedback.LOGITS), expected)


def test_a_class_that_a_top_k_answer_leaves_out_shares_the_rest() -> None:
    scores = torch.tensor([[0.6, 0.3, NAN, NAN], [NAN, 0.6, NAN, NAN], [NAN, 1.0, NAN, NAN]])
    answers = Answers(torch.tensor([0, 1, 1]), scores)
    truth = torch.tensor([2, 1, 0])
    assert true_class_probabilities(answers, truth, Feedback.TOP_K).tolist() == pytest.approx([0.05, 0.6, 0.0])
    assert losses_of(answers, truth, Feedback.TOP_K)[2].item() == pytest.approx(-math.log(FLOOR))


@pytest.mark.parametrize("feedback", list(Feedback))
def test_labels_alone_give_the_share_of_mistakes(feedback: Feedback) -> None:
    assert losses_of(Answers(LABELS), TRUTH, feedback).tolist() == [0.0, 1.0]


class Shift:
    """Adds its one parameter to every pixel."""

    image_shape = (1, 1, 1)
    sigma = 1.0
    fingerprint = "00"

    def initial_parameters(self) -> Tensor:
        return torch.zeros(1)

    def show(self, images: Tensor, parameters: Tensor) -> Tensor:
        return (images + parameters).clamp(0, 1)


def test_every_point_sees_the_same_images_under_names_in_order() -> None:
    asked: list[tuple[Tensor, bytes]] = []

    def ask(images: Tensor, name: bytes) -> Answers:
        asked.append((images, name))
        bright = images.flatten(1).mean(1)
        return Answers((bright > 0.5).long(), torch.stack([1 - bright, bright], 1))

    images = torch.tensor([0.2, 0.4]).view(2, 1, 1, 1)
    objective = BatchObjective(
        coordinator=Shift(),
        images=images,
        truth=torch.tensor([1, 1]),
        feedback=Feedback.PROBABILITIES,
        ask=ask,
        names=(str(number).encode() for number in count()),
    )
    losses = objective.losses(torch.tensor([[0.0], [0.1], [0.0]]))
    expected = [-(math.log(0.2 + step) + math.log(0.4 + step)) / 2 for step in (0.0, 0.1, 0.0)]
    assert losses.tolist() == pytest.approx(expected)
    assert [name for _, name in asked] == [b"0", b"1", b"2"]
    assert torch.equal(asked[0][0], images)
    assert torch.equal(asked[2][0], images)
