"""A classifier that one owns: its module, and how images reach it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bbsmooth.errors import UsageError
from oracles.local import Normalisation
from oracles.owned import CLASSIFYING, OwnedModel


@dataclass(frozen=True, slots=True)
class Classifier:
    """A module with its normalisation.

    Attributes:
        module: from normalised images to logits.
        normalisation: of images with white at 1.
        image_shape: (C, H, W).
        head: names of the classifying layers.
        classes: names of the outputs.
        identity: architecture and arguments, as one line.
        named: whether somebody chose the names of the outputs.
    """

    module: nn.Module
    normalisation: Normalisation
    image_shape: tuple[int, int, int]
    head: tuple[str, ...]
    classes: tuple[str, ...]
    identity: str
    named: bool = True

    @classmethod
    def of(cls, owned: OwnedModel, new_classes: Sequence[str] | None, *, seed: int) -> Classifier:
        """The model with its own head, or with a new one.

        Args:
            owned: the model.
            new_classes: outputs of a new head, None to keep the model's own.
            seed: of a new head.
        """
        head = classifying_layers(owned.module)
        if new_classes is not None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                _renew_head(owned.module, len(new_classes))
        classes = tuple(new_classes or owned.classes)
        named = owned.named or new_classes is not None
        return cls(owned.module, owned.normalisation, owned.image_shape, head, classes, owned.identity, named)

    @property
    def example(self) -> Tensor:
        """(1, C, H, W) black image, normalised."""
        return self.normalised(torch.zeros(1, *self.image_shape))

    def normalised(self, images: Tensor) -> Tensor:
        """Images with white at 1 as the module takes them."""
        mean, std = self._normalisation_like(images)
        return (images - mean) / std

    def images(self, normalised: Tensor) -> Tensor:
        """Images with white at 1 from those that the module takes."""
        mean, std = self._normalisation_like(normalised)
        return normalised * std + mean

    def _normalisation_like(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Means and standard deviations (C, 1, 1) where these images are."""
        mean = images.new_tensor(self.normalisation.mean).view(-1, 1, 1)
        std = images.new_tensor(self.normalisation.std).view(-1, 1, 1)
        return mean, std

    def logits(self, images: Tensor) -> Tensor:
        """(B, K) of images (B, C, H, W), white at 1, clipped by nobody: whoever owns a model may show it any values."""
        logits: Tensor = self.module(self.normalised(images))
        return logits


def classifying_layers(module: nn.Module) -> tuple[str, ...]:
    """Names of the layers that classify, as timm or the network's owner said."""
    place, body = classifying_part(module)
    if (stated := getattr(body, CLASSIFYING, None)) is None:
        named = body.pretrained_cfg["classifier"]  # type: ignore[index]
        stated = (named,) if isinstance(named, str) else tuple(named)
    return tuple(f"{place}.{name}" if place else name for name in stated)


def classifying_part(module: nn.Module) -> tuple[str, nn.Module]:
    """The network in a module, with its name there: the module itself, or what prompts or a denoiser stand before.

    timm attaches a dict `pretrained_cfg` to each of its models, `oracles.torch_networks` the layers that classify.
    """
    return next(
        (name, part)
        for name, part in module.named_modules()
        if hasattr(part, CLASSIFYING) or hasattr(part, "pretrained_cfg")
    )


def _renew_head(module: nn.Module, classes: int) -> None:
    """Give a network a new head, in place.

    Raises:
        UsageError: nobody knows where its head is.
    """
    _, body = classifying_part(module)
    if (stated := getattr(body, CLASSIFYING, None)) is None:
        body.reset_classifier(classes)  # type: ignore[operator]  # every timm model has it
        return
    if not stated:
        raise UsageError(
            f"the data have other classes than this {type(body).__name__}, and no linear layer of it has an output for "
            "each of its own; name its head with ?head=NAME"
        )
    for name in stated:
        old = body.get_submodule(name)
        new = nn.Linear(old.in_features, classes, bias=old.bias is not None)  # type: ignore[arg-type]
        body.set_submodule(name, new)
