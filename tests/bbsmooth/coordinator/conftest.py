import pytest
import torch
from sklearn.datasets import load_digits

from bbsmooth.coordinator import Autoencoder, CleanedImage, FilmSpace, PretrainPlan, pretrain
from bbsmooth.noise import Gaussian


@pytest.fixture(scope="session")
def digits() -> torch.Tensor:
    """(1797, 1, 8, 8) uint8."""
    return torch.from_numpy(load_digits().images * (255 / 16)).round().to(torch.uint8)[:, None]


@pytest.fixture(scope="session")
def trained(digits: torch.Tensor) -> Autoencoder:
    """Pre-trained for a few seconds, on the first 1,000 digits, for noise of 0.5."""
    return pretrain(
        digits[:1000],
        noise=Gaussian(0.5),
        form=CleanedImage(),
        space=FilmSpace(),
        plan=PretrainPlan(epochs=8, learning_rate=1e-2),
        seed=0,
    )
