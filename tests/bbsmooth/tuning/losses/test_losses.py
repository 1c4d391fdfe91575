import math
from statistics import NormalDist

import pytest
import torch

from bbsmooth.tuning import CrossEntropy, Loss, Margin, Mistakes, SoftRadius
from bbsmooth.tuning.losses.losses import FLOOR

BELIEFS = torch.tensor([[0.7, 0.2, 0.1], [0.0, 0.4, 0.6], [0.3, 0.3, 0.4]])
TRUTH = torch.tensor([0, 0, 1])
QUANTILE = NormalDist().inv_cdf


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (CrossEntropy(), [-math.log(0.7), -math.log(FLOOR), -math.log(0.3)]),
        (Margin(), [-0.5, 0.6, 0.1]),
        (SoftRadius(), [-QUANTILE(0.7), -QUANTILE(FLOOR), -QUANTILE(0.3)]),
        (Mistakes(), [0.3, 1.0, 0.7]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_losses_in_closed_form(loss: Loss, expected: list[float]) -> None:
    assert loss(BELIEFS, TRUTH).tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", [CrossEntropy(), Margin(), SoftRadius(), Mistakes()], ids=repr)
def test_more_belief_in_the_truth_costs_less(loss: Loss) -> None:
    shares = torch.linspace(0.05, 0.95, 10)
    costs = loss(torch.stack([shares, 1 - shares], 1).requires_grad_(True), torch.zeros(10, dtype=torch.int64))
    assert (costs.diff() < 0).all()
    assert costs.requires_grad


def test_certainty_costs_no_more_than_finite() -> None:
    sure = torch.eye(2)
    for truth in (torch.tensor([0, 1]), torch.tensor([1, 0])):
        assert torch.isfinite(SoftRadius()(sure, truth)).all()
        assert torch.isfinite(CrossEntropy()(sure, truth)).all()
