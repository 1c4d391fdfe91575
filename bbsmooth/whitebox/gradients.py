"""The smoothed classifier's base as a differentiable function, for models whose weights one has."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

from torch import Tensor

from bbsmooth.coordinator import Coordinator, ScoreScaled, show
from bbsmooth.errors import UsageError
from bbsmooth.whitebox.classifier import Classifier
from bbsmooth.whitebox.objectives import Model
from bbsmooth.whitebox.storage import load_trained
from oracles.options import split_options
from oracles.zoo import owned_model


def differentiable(oracle: str, coordinator: tuple[Coordinator, Tensor] | None) -> Model:
    """From noisy images to logits, with everything that stands before the oracle.

    Args:
        oracle: its name; `local-vit`, `timm:...`, `torch:...` or `trained:RUN`.
        coordinator: with its parameters, where one stands before it.

    Raises:
        UsageError: the oracle's weights are not to be had.
    """
    name = _without(oracle, {"device", "dtype", "pass_size"})
    scheme, _, rest = name.partition(":")
    if scheme == "trained":
        classifier, module = load_trained(Path(rest))
        module.requires_grad_(False)
        own: Model = lambda images: module(classifier.normalised(images))  # noqa: E731
    elif scheme in ("local-vit", "timm", "torch"):
        classifier = Classifier.of(owned_model(name), None, seed=0)
        classifier.module.eval().requires_grad_(False)
        own = lambda images: classifier.logits(images.clamp(0, 1))  # noqa: E731  # as its oracle clips
    else:
        raise UsageError(
            f"gradients need a model whose weights are here (local-vit, timm:..., torch:..., trained:RUN), not "
            f"{oracle!r}; use `method` nes or hopskipjump"
        )
    if coordinator is None:
        return own
    network, parameters = coordinator
    shown: Model = lambda images: own(show(network, images, parameters))  # noqa: E731
    if not isinstance(network, ScoreScaled):
        return shown
    return lambda images: network.scaling.scaled(shown(images).log_softmax(1), parameters)


def _without(name: str, options: set[str]) -> str:
    """A name less those of its options that only say where, and how exactly, its oracle computes."""
    address, given = split_options(name, what="an oracle")
    kept = {key: value for key, value in given.items() if key not in options}
    return f"{address}?{urlencode(kept)}" if kept else address
