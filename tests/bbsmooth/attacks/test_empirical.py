from __future__ import annotations

import pytest

from bbsmooth.attacks.empirical import AttackResult, empirical_accuracy
from bbsmooth.certification.accuracy import share

IMAGES = (
    AttackResult(index=0, correct=True, radius=0.5, found=0.8),
    AttackResult(index=1, correct=True, radius=None, found=None),
    AttackResult(index=2, correct=False, radius=0.9, found=None),
    AttackResult(index=3, correct=True, radius=0.2, found=0.3),
)


@pytest.mark.parametrize(("radius", "right"), [(0.1, 3), (0.3, 3), (0.31, 2), (0.8, 2), (0.9, 1)])
def test_counts_right_images_that_were_not_turned_within_the_radius(radius: float, right: int) -> None:
    assert empirical_accuracy(IMAGES, radius, confidence=0.95) == share(right, 4, confidence=0.95)


def test_without_labels_every_answer_counts_that_was_not_turned() -> None:
    images = [
        AttackResult(index=0, correct=None, radius=None, found=0.2),
        AttackResult(index=1, correct=None, radius=1, found=2),
    ]

    assert empirical_accuracy(images, 0.5, confidence=0.95).value == 0.5


@pytest.mark.parametrize(
    ("radius", "found", "contradiction"),
    [(0.5, 0.49, True), (0.5, 0.5, False), (0.5, None, False), (None, 0.1, False)],
)
def test_an_image_inside_the_radius_is_a_contradiction(
    radius: float | None, found: float | None, contradiction: bool
) -> None:
    assert AttackResult(index=0, correct=True, radius=radius, found=found).contradiction is contradiction
