from __future__ import annotations

import math
from dataclasses import replace
from itertools import count

import pytest
import torch
from torch import Tensor

from bbsmooth.randomness import fork
from bbsmooth.tuning import BatchObjective, CrossEntropy, affordable, clean_labels
from bbsmooth.tuning.objective import QUESTION
from oracles import Answers, Feedback


class Shift:
    """Adds its one parameter to every pixel."""

    image_shape = (1, 1, 1)
    sigma = 1.0
    fingerprint = "00"

    def on(self, device: torch.device) -> Shift:
        return self

    def initial_parameters(self) -> Tensor:
        return torch.zeros(1)

    def propose(self, images: Tensor, parameters: Tensor) -> Tensor:
        return images + parameters

    def render(self, proposed: Tensor) -> Tensor:
        return proposed.clamp(0, 1)


class Brightness:
    """Believes in class 1 as much as the image is bright; writes down what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Tensor, bytes]] = []

    def ask(self, images: Tensor, name: bytes) -> Answers:
        self.asked.append((images, name))
        bright = images.flatten(1).mean(1)
        return Answers((bright > 0.5).long(), torch.stack([1 - bright, bright], 1))


def objective(
    oracle: Brightness, values: list[float], truth: list[int], feedback: Feedback = Feedback.PROBABILITIES
) -> BatchObjective:
    return BatchObjective(
        coordinator=Shift(),
        images=torch.tensor(values).view(-1, 1, 1, 1),
        truth=torch.tensor(truth),
        feedback=feedback,
        loss=CrossEntropy(),
        ask=oracle.ask,
        names=(str(number).encode() for number in count()),
    )


def test_every_point_sees_the_same_images_under_names_in_order() -> None:
    oracle = Brightness()
    losses = objective(oracle, [0.2, 0.4], [1, 1]).losses(torch.tensor([[0.0], [0.1], [0.0]]))
    expected = [-(math.log(0.2 + step) + math.log(0.4 + step)) / 2 for step in (0.0, 0.1, 0.0)]
    assert losses.tolist() == pytest.approx(expected)
    assert [name for _, name in oracle.asked] == [b"0", b"1", b"2"]
    assert torch.equal(oracle.asked[2][0], oracle.asked[0][0])


def test_what_is_proposed_is_rendered_before_the_oracle_sees_it() -> None:
    oracle = Brightness()
    one = objective(oracle, [0.2, 0.4], [1, 1])
    one.losses_at(one.propose(torch.tensor([5.0])))
    assert oracle.asked[0][0].flatten().tolist() == [1, 1]


def test_parts_of_a_batch_have_points_and_losses_of_their_own() -> None:
    oracle = Brightness()
    one = objective(oracle, [0.2, 0.4, 0.6], [1, 1, 1])
    (losses,) = one.group_losses(torch.tensor([[[0.0], [0.1]]]))
    assert losses.tolist() == pytest.approx([-(math.log(0.2) + math.log(0.4)) / 2, -math.log(0.7)])
    assert one.num_images == 3


def test_weights_multiply_the_losses() -> None:
    one = replace(objective(Brightness(), [0.2, 0.9], [1, 1], Feedback.LABELS), weights=torch.tensor([0.5, 3.0]))
    assert one.losses_at(one.images).tolist() == [0.5, 0]
    assert one.losses(torch.tensor([[0.0]])).tolist() == [0.25]


def test_labels_alone_give_the_share_of_mistakes() -> None:
    one = objective(Brightness(), [0.2, 0.9], [1, 1], Feedback.LABELS)
    assert one.losses_at(one.images).tolist() == [1, 0]


def test_a_large_batch_is_asked_about_in_questions_of_bounded_size() -> None:
    oracle = Brightness()
    values = torch.linspace(0.1, 0.9, 2 * QUESTION + 7).tolist()
    one = objective(oracle, values, [1] * len(values))
    assert one.losses_at(one.images).tolist() == pytest.approx([-math.log(value) for value in values], rel=1e-4)
    assert [len(images) for images, _ in oracle.asked] == [QUESTION, QUESTION, 7]


def test_the_truth_is_what_the_oracle_says_of_the_clean_image() -> None:
    images = torch.randint(0, 256, (230, 1, 4, 4), dtype=torch.uint8, generator=fork(0))
    names: list[bytes] = []

    def ask(shown: torch.Tensor, name: bytes) -> Answers:
        names.append(name)
        return Answers((shown.flatten(1).mean(1) > 0.5).long())

    expected = (images.float().flatten(1).mean(1) > 127.5).long()
    assert torch.equal(clean_labels(images, ask), expected)
    assert len(names) == len(set(names)) == 3
    clean_labels(images[:100], ask)
    assert names[3] == names[0]


def test_a_tenth_of_a_budget_may_go_into_it() -> None:
    assert affordable(20_000) == 2_000
    assert affordable(5) == 2
