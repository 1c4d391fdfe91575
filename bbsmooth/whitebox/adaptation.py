"""Adaptations: the weights of a classifier that are trained, or small modules added to a frozen body."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor, nn

from bbsmooth.errors import UsageError


class Adaptation(Protocol):
    """A way of making a classifier trainable in part. Frozen settings; `adapt` does the work."""

    name: ClassVar[str]
    moves_statistics: ClassVar[bool]

    def adapt(self, module: nn.Module, *, head: tuple[str, ...], example: Tensor, seed: int) -> nn.Module:
        """The classifier with the adaptation in place; exactly what shall be trained requires a gradient.

        Args:
            module: from normalised images (B, C, H, W) to logits (B, K); may be changed in place.
            head: names of its classifying layers.
            example: (1, C, H, W), an input it takes.
            seed: of new weights.

        Raises:
            UsageError: the adaptation does not fit the architecture.
        """
        ...


@dataclass(frozen=True, slots=True)
class Head:
    """A linear probe: the classifying layer alone."""

    name: ClassVar[str] = "head"
    moves_statistics: ClassVar[bool] = False

    def adapt(self, module: nn.Module, *, head: tuple[str, ...], example: Tensor, seed: int) -> nn.Module:
        """The classifier with its head trainable."""
        return only_head(module, head)


@dataclass(frozen=True, slots=True)
class Bias:
    """BitFit (Zaken et al., ACL 2022): every bias, and the head."""

    name: ClassVar[str] = "bias"
    moves_statistics: ClassVar[bool] = False

    def adapt(self, module: nn.Module, *, head: tuple[str, ...], example: Tensor, seed: int) -> nn.Module:
        """The classifier with its biases and head trainable."""
        only_head(module, head)
        for name, parameter in module.named_parameters():
            if name.endswith("bias"):
                parameter.requires_grad_(True)
        return module


@dataclass(frozen=True, slots=True)
class Full:
    """Fine-tuning of all weights, batch statistics included."""

    name: ClassVar[str] = "full"
    moves_statistics: ClassVar[bool] = True

    def adapt(self, module: nn.Module, *, head: tuple[str, ...], example: Tensor, seed: int) -> nn.Module:
        """The classifier with all weights trainable."""
        return module.requires_grad_(True)


def only_head(module: nn.Module, head: tuple[str, ...]) -> nn.Module:
    """The module with everything frozen but its classifying layers."""
    module.requires_grad_(False)
    for name in head:
        module.get_submodule(name).requires_grad_(True)
    return module


def follow_statistics(module: nn.Module) -> None:
    """Have the running statistics of batch normalisation follow the images of training; all else keeps its mode.

    Raises:
        UsageError: there is no batch normalisation.
    """
    if not (layers := batch_normalisation(module)):
        raise UsageError("`batch_statistics` is for batch normalisation, which this model has none of; leave it out")
    for layer in layers:
        layer.train()


def batch_normalisation(module: nn.Module) -> list[nn.Module]:
    """The layers that normalise by statistics of the batch in training, and by running ones afterwards."""
    return [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]


def trained_state(module: nn.Module, *, statistics: bool) -> dict[str, Tensor]:
    """Tensors that training changes, by name in the module's state: those that a run has to keep.

    Args:
        module: the model, adapted.
        statistics: whether its buffers change as well.
    """
    state: dict[str, Tensor] = {name: weight for name, weight in module.named_parameters() if weight.requires_grad}
    return state | (running_statistics(module) if statistics else {})


def running_statistics(module: nn.Module) -> dict[str, Tensor]:
    """The buffers of a module by name, without those that are computed anew whenever it is built."""
    kept = module.state_dict().keys()
    return {name: buffer for name, buffer in module.named_buffers() if name in kept}


def trained_parameters(module: nn.Module) -> Iterator[nn.Parameter]:
    """The parameters that require a gradient."""
    return (parameter for parameter in module.parameters() if parameter.requires_grad)


def count_parameters(module: nn.Module, *, trained: bool) -> int:
    """Number of weights, all or the trained ones."""
    chosen = trained_parameters(module) if trained else module.parameters()
    return sum(parameter.numel() for parameter in chosen)
