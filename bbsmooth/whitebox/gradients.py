"""The smoothed classifier's base as a differentiable function, for models whose weights one has."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from bbsmooth.coordinator import Coordinator, show
from bbsmooth.errors import UsageError
from bbsmooth.whitebox.classifier import Classifier
from bbsmooth.whitebox.objectives import Model
from bbsmooth.whitebox.storage import load_trained
from oracles.zoo import owned_model


def differentiable(oracle: str, coordinator: tuple[Coordinator, Tensor] | None) -> Model:
    """From noisy images to logits, with everything that stands before the oracle.

    Args:
        oracle: its name; `local-vit`, `timm:...` or `trained:RUN`.
        coordinator: with its parameters, where one stands before it.

    Raises:
        UsageError: the oracle's weights are not to be had.
    """
    scheme, _, rest = oracle.partition(":")
    if scheme == "trained":
        classifier, module = load_trained(Path(rest))
        module.requires_grad_(False)
        own: Model = lambda images: module(classifier.normalised(images))  # noqa: E731
    elif scheme in ("local-vit", "timm"):
        classifier = Classifier.of(owned_model(oracle), None, seed=0)
        classifier.module.eval().requires_grad_(False)
        own = lambda images: classifier.logits(images.clamp(0, 1))  # noqa: E731  # as its oracle clips
    else:
        raise UsageError(
            f"gradients need a model whose weights are here (local-vit, timm:..., trained:RUN), not {oracle!r}; "
            "use --method nes or hopskipjump"
        )
    if coordinator is None:
        return own
    network, parameters = coordinator
    return lambda images: own(show(network, images, parameters))
