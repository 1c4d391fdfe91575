from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from bbsmooth.randomness import fork
from bbsmooth.tuning import OutputDifferences
from bbsmooth.tuning.outputs import cosines


@dataclass
class LinearImages:
    """Images 1/2 + mixing z, and the loss <slope, image>: the gradient in z is known."""

    mixing: Tensor  # (B, C, H, W, P)
    slope: Tensor  # (B, C, H, W)
    evaluations: int = 0

    def show(self, parameters: Tensor) -> Tensor:
        return 0.5 + self.mixing @ parameters

    def image_losses(self, images: Tensor) -> Tensor:
        self.evaluations += 1
        return (images * self.slope).sum((1, 2, 3))

    def losses(self, points: Tensor) -> Tensor:
        raise NotImplementedError

    def gradient(self) -> Tensor:
        return torch.einsum("bchwp,bchw->p", self.mixing, self.slope) / len(self.slope)


def smooth(shape: tuple[int, ...], *, frequencies: int, seed: int) -> Tensor:
    waves = cosines(8, frequencies)
    coefficients = torch.randn(*shape, len(waves), len(waves), generator=fork(seed))
    return waves.T @ coefficients @ waves


@pytest.mark.parametrize("num_directions", [1, 3])
@pytest.mark.parametrize("frequencies", [3, 8])
def test_estimate_is_unbiased_on_a_loss_with_a_smooth_slope(frequencies: int, num_directions: int) -> None:
    objective = LinearImages(
        torch.randn(4, 2, 8, 8, 3, generator=fork(0)), smooth((4, 2), frequencies=frequencies, seed=1)
    )
    estimator = OutputDifferences(frequencies=frequencies, num_directions=num_directions)
    draws = torch.stack(
        [
            estimator.estimate(objective, torch.zeros(3), probe_radius=0.1, generator=fork(seed)).gradient
            for seed in range(1_000)
        ]
    )
    standard_error = draws.std(0) / len(draws) ** 0.5
    assert ((draws.mean(0) - objective.gradient()).abs() <= 4 * standard_error + 1e-6).all()
    assert objective.evaluations == 1_000 * estimator.evaluations


def test_probes_stay_in_the_pixel_range() -> None:
    class Watch(LinearImages):
        def image_losses(self, images: Tensor) -> Tensor:
            assert images.min() >= 0
            assert images.max() <= 1
            return super().image_losses(images)

    objective = Watch(torch.zeros(4, 1, 8, 8, 3), torch.ones(4, 1, 8, 8))
    OutputDifferences(frequencies=8, num_directions=2).estimate(
        objective, torch.zeros(3), probe_radius=9.0, generator=fork(0)
    )


def test_cosines_are_orthonormal_and_start_with_the_mean() -> None:
    waves = cosines(12, 12)
    torch.testing.assert_close(waves @ waves.T, torch.eye(12), atol=1e-5, rtol=0)
    torch.testing.assert_close(waves[0], torch.full((12,), 12**-0.5))
    assert cosines(8, 100).shape == (8, 8)


@pytest.mark.parametrize("changed", [{"frequencies": 0}, {"num_directions": 0}], ids=str)
def test_an_empty_mean_is_refused(changed: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        OutputDifferences(**{"frequencies": 8, "num_directions": 1} | changed)
