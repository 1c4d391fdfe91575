"""Which images tuning learns from, and what their truth costs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bbsmooth.api.sessions.tuning_images import TuningImages, few, tuning_images
from bbsmooth.data import load
from bbsmooth.errors import UsageError
from bbsmooth.tuning import one_by_one
from oracles import Answers, Classes

DIGITS, CLASSES = load("digits", split="train"), Classes.numbered(10)


@pytest.mark.parametrize("shots", [1, 4, 16])
def test_few_shots_are_as_many_of_each_class_whatever_the_order(shots: int) -> None:
    labels = torch.arange(400) % 10
    chosen = few(labels, shots, 10, seed=0)
    assert labels[chosen].bincount().tolist() == [shots] * 10
    assert chosen == sorted(set(chosen))
    assert chosen == few(labels, shots, 10, seed=0) != few(labels, shots, 10, seed=1)


def test_a_class_with_too_few_images_is_named_in_one_line() -> None:
    with pytest.raises(UsageError, match="`shots` 4 needs as many images of each class, one has 3"):
        few(torch.tensor([0] * 9 + [1] * 3), 4, 2, seed=0)


def test_few_labelled_images_keep_their_labels_and_cost_nothing() -> None:
    found = tuning_images(DIGITS, CLASSES, most=500, shots=4, labelled=True, seed=3)
    assert found.truth(never, one_by_one).bincount().tolist() == [4] * 10
    assert found.cost(1_000) == 0
    assert found.within(10) is found


@pytest.mark.parametrize("shots", [None, 16])
def test_where_the_oracle_is_believed_a_tenth_of_the_budget_buys_the_truth(shots: int | None) -> None:
    found = tuning_images(DIGITS, CLASSES, most=500, shots=shots, labelled=False, seed=3)
    assert found.labels is None
    part = found.within(1_000)
    assert len(part.pixels) == found.cost(1_000) == 100
    asked: list[int] = []

    def ask(images: Tensor, name: bytes) -> Answers:
        asked.append(len(images))
        return Answers((images.mean((1, 2, 3)) > 0.3).long())

    assert torch.equal(part.truth(ask, one_by_one), (part.pixels.float().mean((1, 2, 3)) / 255 > 0.3).long())
    assert sum(asked) == 100


def test_no_more_images_are_asked_about_than_there_are() -> None:
    assert TuningImages(DIGITS.images(range(30)), None).cost(10_000) == 30


def never(images: Tensor, name: bytes) -> Answers:
    raise AssertionError("labels are known")
