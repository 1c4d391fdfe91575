import pytest
import torch

from bbsmooth.randomness import fork
from bbsmooth.tuning import Surrogate


@pytest.mark.parametrize(
    ("image_shape", "fold", "levels"),
    [((1, 8, 8), 1, 2), ((1, 28, 28), 2, 3), ((3, 32, 32), 2, 3), ((3, 33, 47), 4, 3), ((3, 224, 224), 8, 3)],
)
def test_the_finest_grid_has_about_sixteen_cells(image_shape: tuple[int, int, int], fold: int, levels: int) -> None:
    surrogate = Surrogate(image_shape=image_shape, num_classes=5, widths=(4, 8, 12))
    assert (surrogate.fold, surrogate.levels) == (fold, levels)
    weights = surrogate.initial_weights(fork(0))
    assert {name: tuple(weight.shape) for name, weight in weights.items()} == surrogate.shapes
    images = torch.rand(3, *image_shape, generator=fork(1))
    assert surrogate.logits(weights, images).shape == (3, 5)


def test_it_begins_without_an_opinion_and_every_weight_can_change_that() -> None:
    surrogate = Surrogate(image_shape=(1, 8, 8), num_classes=3, widths=(4, 8))
    weights = surrogate.initial_weights(fork(0))
    images = torch.rand(6, 1, 8, 8, generator=fork(1))
    assert surrogate.logits(weights, images).abs().max() == 0
    weights["head.weight"] = torch.randn(3, 8, generator=fork(2))
    leaves = [weight.requires_grad_(True) for weight in weights.values()]
    gradients = torch.autograd.grad(surrogate.logits(weights, images).square().sum(), leaves)
    assert all(gradient.abs().max() > 0 for gradient in gradients)


@pytest.mark.parametrize("changed", [{"widths": (6,)}, {"widths": ()}, {"num_classes": 0}], ids=str)
def test_what_cannot_be_built_is_refused(changed: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="multiples of 4"):
        Surrogate(**{"image_shape": (1, 8, 8), "num_classes": 3, "widths": (4,)} | changed)  # type: ignore[arg-type]
