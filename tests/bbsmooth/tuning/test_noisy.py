import pytest
import torch

from bbsmooth.noise import Gaussian, Grid
from bbsmooth.tuning.noisy import NoisyImages

IMAGES = torch.arange(4 * 64).view(4, 1, 8, 8).to(torch.uint8)


def noisy(*, purpose: str = "tune", seed: int = 0, bits: int = 8) -> NoisyImages:
    return NoisyImages(
        images=IMAGES, labels=torch.arange(4), noise=Gaussian(0.5), grid=Grid(bits), seed=seed, purpose=purpose
    )


@pytest.mark.parametrize("bits", [0, 8])
def test_a_draw_follows_from_its_name_whatever_comes_along(bits: int) -> None:
    together = noisy(bits=bits).draw([0, 1, 2], [5, 6, 7])
    alone = noisy(bits=bits).draw([1], [6])
    assert torch.equal(together[1:2], alone)
    assert together.dtype == torch.float32


def test_purposes_seeds_and_numbers_share_no_draw() -> None:
    draws = [
        noisy().draw([0], [0]),
        noisy().draw([0], [1]),
        noisy(purpose="heldout").draw([0], [0]),
        noisy(seed=1).draw([0], [0]),
    ]
    assert all(not torch.equal(one, other) for i, one in enumerate(draws) for other in draws[:i])


def test_noise_has_the_standard_deviation_asked_for() -> None:
    draws = noisy().draw([3] * 500, list(range(500)))
    noise = draws - IMAGES[3].float() / 255
    assert noise.std().item() == pytest.approx(0.5, rel=0.02)
    assert noise.mean().item() == pytest.approx(0, abs=0.01)


def test_digest_depends_on_images_and_labels() -> None:
    other = NoisyImages(
        images=IMAGES, labels=torch.arange(4).flip(0), noise=Gaussian(0.5), grid=Grid(1), seed=0, purpose="tune"
    )
    assert noisy().digest() == noisy(seed=1).digest() != other.digest()
