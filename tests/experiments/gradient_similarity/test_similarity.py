from __future__ import annotations

import math

import pytest
import torch

from experiments.gradient_similarity.similarity import gradient_similarity

FIRST, SECOND = torch.tensor([1.0, 2.0]), torch.tensor([[3.0]])


@pytest.mark.parametrize(
    ("slopes", "expected"),
    [
        ((1.0, 0.0, 0.0), 2 / math.sqrt(4 + 1 + 9)),
        ((2.0, -1.0, 3.0), 1.0),
        ((-2.0, 1.0, -3.0), -1.0),
        ((1.0, 2.0, 0.0), 0.0),
        ((0.0, 0.0, 0.0), 0.0),
    ],
)
def test_the_cosine_over_all_weights_together(slopes: tuple[float, float, float], expected: float) -> None:
    """One loss has the gradient (2, -1, 3), the other `slopes`."""
    weights = [FIRST.clone().requires_grad_(), SECOND.clone().requires_grad_()]
    one = 2 * weights[0][0] - weights[0][1] + 3 * weights[1].sum()
    other = slopes[0] * weights[0][0] + slopes[1] * weights[0][1] + slopes[2] * weights[1].sum()

    assert gradient_similarity(one, other, weights) == pytest.approx(expected)


def test_a_weight_that_a_loss_does_not_know_counts_as_zero() -> None:
    weights = [FIRST.clone().requires_grad_(), SECOND.clone().requires_grad_()]

    assert gradient_similarity(weights[0].sum(), weights[0].sum() + weights[1].sum(), weights) == pytest.approx(
        2 / math.sqrt(6)
    )
