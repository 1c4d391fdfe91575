"""Surrogates: classifiers that one owns, whose gradients serve where those of another one are not to be had."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bbsmooth.errors import UsageError
from bbsmooth.whitebox.classifier import Classifier
from bbsmooth.whitebox.storage import base_digest, owned
from oracles.owned import OwnedModel

_LEAST_CLASSES = 2


@dataclass(frozen=True, slots=True)
class Surrogate:
    """A classifier whose weights are here, and never change.

    Attributes:
        name: by which it was opened.
        model: its module and how images reach it.
        fingerprint: sha256 of its weights.
    """

    name: str
    model: OwnedModel
    fingerprint: str

    @classmethod
    def named(cls, name: str, image_shape: tuple[int, int, int], *, field: str = "surrogate") -> Surrogate:
        """The surrogate of a name that `owned` takes, for images (C, H, W); errors name the field that it came from.

        Raises:
            UsageError: it is not for such images, or tells no classes apart.
            SpecError: it cannot be opened.
        """
        model = owned(name)
        channels, *sides = model.image_shape
        if [*image_shape[1:]] != sides or image_shape[0] not in (1, channels):
            raise UsageError(
                f"`{field}` {name} takes images {model.image_shape}, these are {image_shape}; name a classifier for "
                "such images"
            )
        if len(model.classes) < _LEAST_CLASSES:
            raise UsageError(f"`{field}` {name} has a single class; name a classifier that tells several apart")
        model.module.eval().requires_grad_(False)
        return cls(name, model, base_digest(name, model))

    @property
    def record(self) -> dict[str, str]:
        """What a manifest says of it."""
        return {"name": self.name, "architecture": self.model.identity, "fingerprint": self.fingerprint}

    def on(self, device: torch.device) -> Callable[[Tensor], Tensor]:
        """The function from images (B, C, H, W), white at 1, not clipped, to logits (B, K), on a device.

        Grey images reach a classifier for colour three times alike.
        """
        module, normalisation = self.model.module.to(device), self.model.normalisation
        mean, std = (
            torch.tensor(values, device=device).view(-1, 1, 1) for values in (normalisation.mean, normalisation.std)
        )

        def logits(images: Tensor) -> Tensor:
            found: Tensor = module((images.expand(-1, self.model.image_shape[0], -1, -1) - mean) / std)
            return found

        return logits

    def behind(self, classifier: Classifier, device: torch.device) -> Callable[[Tensor], Tensor]:
        """The function from images as `classifier` takes them, normalised its way, to logits (B, K), on a device."""
        if self.model.normalisation == classifier.normalisation and self.model.image_shape == classifier.image_shape:
            return self.model.module.to(device)
        logits = self.on(device)
        return lambda normalised: logits(classifier.images(normalised))
