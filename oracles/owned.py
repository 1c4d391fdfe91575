"""Classifiers of which one has the weights, and the oracles that they make."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from oracles.checkpoint import first_line
from oracles.errors import AnswerError, SpecError
from oracles.local import LocalOracle, Normalisation
from oracles.oracle import Classes

CLASSIFYING = "classifying_layers"
"""Attribute of a network of which somebody said which layers classify, as timm says it of its own in another."""


@dataclass(frozen=True, slots=True)
class OwnedModel:
    """A classifier of which one has the weights: for training, where a query is not enough.

    Attributes:
        module: from normalised images (B, C, H, W) to logits (B, K).
        identity: everything about it that its weights do not tell, as one line.
        classes: names of the K outputs.
        image_shape: (C, H, W).
        normalisation: of images with white at 1.
        named: whether somebody chose the names; False where they only number the outputs.
    """

    module: nn.Module
    identity: str
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    normalisation: Normalisation
    named: bool = True

    def oracle(self, name: str, *, device: str, dtype: str, pass_size: int | None) -> LocalOracle:
        """The model as an oracle, which has answered once: one that cannot take such images fails now and clearly.

        Raises:
            SpecError: it cannot, or a device or type that is not there.
        """
        oracle = LocalOracle(
            self.module,
            name=name,
            architecture=self.identity,
            classes=Classes(self.classes, named=self.named),
            image_shape=self.image_shape,
            normalisation=self.normalisation,
            device=device,
            dtype=dtype,
            pass_size=pass_size,
        )
        try:
            oracle.query(torch.zeros(1, *self.image_shape, dtype=torch.uint8))
        except AnswerError as error:
            raise SpecError(str(error)) from error
        except (RuntimeError, ValueError, TypeError, AssertionError) as error:
            raise SpecError(f"{name} cannot take images of shape {self.image_shape}: {first_line(error)}") from error
        return oracle


def state_classifying_layers(module: nn.Module, names: tuple[str, ...]) -> None:
    """Note on a network which of its layers classify, so that whatever is built around it can tell."""
    setattr(module, CLASSIFYING, names)  # `nn.Module` knows no such attribute
