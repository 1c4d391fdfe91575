import numpy as np
import pytest
import torch
from torch import Tensor

from bbsmooth.coordinator import ScalingKind, ScoreScaling
from bbsmooth.randomness import fork
from bbsmooth.tuning.learners.score_scaling import fitted


def answers(count: int, classes: int, slopes: Tensor, shift: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities, true probabilities given these, and true classes drawn from them."""
    generator = fork(0, "answers")
    z = (2 * torch.randn(count, classes, generator=generator, dtype=torch.float64)).log_softmax(1)
    likely = (z + z @ slopes.T + shift).softmax(1)
    truth = torch.multinomial(likely, 1, generator=generator)[:, 0]
    return z, likely, truth


@pytest.mark.parametrize("kind", list(ScalingKind))
def test_the_map_behind_the_answers_is_found(kind: ScalingKind) -> None:
    classes, generator = 4, fork(1)
    slopes = 0.2 * torch.randn(classes, classes, generator=generator, dtype=torch.float64)
    if kind is ScalingKind.VECTOR:
        slopes = slopes.diagonal().diag()
    z, likely, truth = answers(40_000, classes, slopes, torch.tensor([1.0, -1.0, 0.5, 0.0], dtype=torch.float64))
    scaling = ScoreScaling(kind, classes)
    found, loss = fitted(scaling, z, truth, torch.zeros(scaling.size))
    assert float((scaling.scaled(z, found).softmax(1) - likely).abs().mean()) < 0.005
    own = likely.gather(1, truth[:, None]).log().mean()
    assert loss == pytest.approx(-float(own), abs=1e-3)


@pytest.mark.parametrize("kind", list(ScalingKind))
def test_the_end_is_the_most_likely_and_does_not_depend_on_the_start(kind: ScalingKind) -> None:
    z, _, truth = answers(500, 3, torch.zeros(3, 3, dtype=torch.float64), torch.tensor([2.0, 0.0, -1.0]).double())
    scaling = ScoreScaling(kind, 3)
    found, _ = fitted(scaling, z, truth, torch.zeros(scaling.size), 1_000)
    again, _ = fitted(scaling, z, truth, torch.randn(scaling.size, generator=fork(2)), 1_000)
    assert torch.allclose(found, again, atol=1e-3)
    values = found.double().requires_grad_(True)
    precision = torch.full_like(values, (0.3 if kind is ScalingKind.VECTOR else 0.1) ** -2)
    precision[-3:] = 1.0
    posterior = -scaling.scaled(z, values).log_softmax(1).gather(1, truth[:, None]).sum()
    posterior = posterior + 0.5 * (precision * values**2).sum()
    (gradient,) = torch.autograd.grad(posterior, values)
    assert float(gradient.abs().max()) / len(z) < 1e-5


def test_without_any_lean_hardly_anything_is_changed() -> None:
    z, _, truth = answers(100, 5, torch.zeros(5, 5, dtype=torch.float64), torch.zeros(5, dtype=torch.float64))
    scaling = ScoreScaling(ScalingKind.MATRIX, 5)
    found, _ = fitted(scaling, z, truth, torch.zeros(scaling.size))
    same = scaling.scaled(z, found).argmax(1) == z.argmax(1)
    assert float(same.double().mean()) > 0.9
    assert np.abs(found.numpy()).max() < 1.0
