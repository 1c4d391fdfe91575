import pytest
import torch

from bbsmooth.tuning.learners.surrogate.training import minimise


def test_it_finds_the_minimum_and_leaves_no_gradient_behind() -> None:
    point = torch.tensor([3.0, -2.0])
    target = torch.tensor([0.5, 1.0])
    mean = minimise([point], lambda: (point - target).square().sum(), steps=400, learning_rate=0.05)
    torch.testing.assert_close(point, target, atol=1e-2, rtol=0)
    assert not point.requires_grad
    assert 0 < mean < (torch.tensor([3.0, -2.0]) - target).square().sum()


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_every_step_counts_however_few(steps: int) -> None:
    point, calls = torch.ones(1), 0

    def loss_at() -> torch.Tensor:
        nonlocal calls
        calls += 1
        return point.square().sum()

    minimise([point], loss_at, steps=steps, learning_rate=0.1)
    assert calls == steps
    assert point.item() < 1
