"""The training loop: epochs of batches under fresh noise, AdamW, one-cycle learning rate."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from bbsmooth.errors import UsageError
from bbsmooth.noise import NoiseDistribution
from bbsmooth.randomness import fork
from bbsmooth.whitebox.adaptation import batch_normalisation
from bbsmooth.whitebox.distributed import ALONE, Group
from bbsmooth.whitebox.images import TrainingImages
from bbsmooth.whitebox.noising import Noising
from bbsmooth.whitebox.objectives import Model, TrainingObjective

_RISING_SHARE = 0.1
_FIRST_SHARE = 0.04  # of the peak rate, at the first step
_COOL_RATE = 0.01  # of the peak rate


@dataclass(frozen=True, slots=True, kw_only=True)
class FitPlan:
    """Epochs, batch size and a one-cycle learning rate.

    Args:
        epochs: times that every image is seen, each time under fresh noise.
        batch_size: images a step.
        learning_rate: peak of the one-cycle schedule (Smith & Topin 2019).
        weight_decay: of AdamW.
        bfloat16: whether the forward pass computes in it, where that is safe (autocast).
        cool_down: share of the training, its last part, at a hundredth of the rate.

    Raises:
        ValueError: a number that is not positive.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 1e-4
    bfloat16: bool = False
    cool_down: float = 0.0

    def __post_init__(self) -> None:
        """Refuse plans that would not train."""
        if self.epochs < 1 or self.batch_size < 1 or not self.learning_rate > 0:
            raise ValueError(f"epochs, batch size and learning rate must be positive, got {self}")

    def rate(self, done: float) -> float:
        """The learning rate when a share `done` of the training is over: up and down again, by cosines."""
        peak = self.learning_rate * (_COOL_RATE if done >= 1 - self.cool_down else 1.0)
        if done < _RISING_SHARE:
            return peak * _between(_FIRST_SHARE, 1.0, done / _RISING_SHARE)
        return peak * _between(1.0, 0.0, (done - _RISING_SHARE) / (1 - _RISING_SHARE))


class Schedule(Protocol):
    """Epochs, batch size and learning rate, as training sees them: `FitPlan`, or a rate that adapts after an epoch."""

    @property
    def epochs(self) -> int:
        """Times that every image is seen."""
        ...

    @property
    def batch_size(self) -> int:
        """Images a step."""
        ...

    @property
    def weight_decay(self) -> float:
        """Of AdamW."""
        ...

    @property
    def bfloat16(self) -> bool:
        """True if the forward pass computes in it."""
        ...

    def rate(self, done: float) -> float:
        """The learning rate when a share `done` of the training is over."""
        ...


@dataclass(frozen=True, slots=True)
class Epoch:
    """Figures of an epoch.

    Attributes:
        number: from 1.
        loss: mean over its batches.
        seconds: wall time.
    """

    number: int
    loss: float
    seconds: float


def fit(
    module: nn.Module,
    model: Model,
    images: TrainingImages,
    *,
    noise: NoiseDistribution,
    objective: TrainingObjective,
    plan: Schedule,
    seed: int,
    state: Optimiser | None = None,
    after: Callable[[Epoch, Optimiser], None] = lambda epoch, state: None,
    group: Group = ALONE,
    least: int = 1,
) -> None:
    """Train, in place, whatever parameters of `module` require a gradient.

    Every epoch draws its order and noise from a stream of its own, so that training which goes on from the state after
    an epoch ends as it would have ended. Same images, plan, seed, threads and kind of processor: same weights.

    Args:
        module: in the mode (training or evaluation) that it shall be trained in.
        model: the classifier that `module` is a part of.
        images: with labels.
        noise: what is added.
        objective: the loss.
        plan: epochs, batch size and learning rate.
        seed: of order and noise.
        state: of an earlier call, to go on from.
        after: told after every epoch.
        group: processes that train together, all with the same weights.
        least: images that a batch needs, see `least_batch`.

    Raises:
        UsageError: there is none with that many.
    """
    if min(plan.batch_size, len(images.pixels)) < least:
        raise UsageError(
            "this model normalises by batch statistics, which one image does not have: `batch_size` must be at least "
            f"{least}, got {plan.batch_size}, for as many training images, got {len(images.pixels)}"
        )
    state = state or Optimiser.new(module, plan)
    device = next(module.parameters()).device
    steps = images.steps(plan.batch_size, least=least)
    for number in range(state.epochs + 1, plan.epochs + 1):
        began, total = time.monotonic(), 0.0
        noising = Noising(noise, fork(seed, "whitebox", "noise", number, device=device.type))
        order = fork(seed, "whitebox", "order", number)
        batches = images.batches(plan.batch_size, order, device, group, least=least)
        for step, (shard, clean, labels) in enumerate(batches):
            done = ((number - 1) * steps + step) / (plan.epochs * steps)
            with _precision(plan, device):
                loss = objective.loss(model, clean, labels, replace(noising, shard=shard), trained=done)
            total += state.step(loss * shard.weight, plan.rate(done), group) * shard.whole
        state.epochs = number
        after(Epoch(number, total / len(images.pixels), time.monotonic() - began), state)


def least_batch(module: nn.Module, example: Tensor, objective: TrainingObjective) -> int:
    """Images that a training step needs: 2 where batch statistics over a single one are undefined, else 1.

    They are where a layer of batch normalisation sees one value a channel: one image, shown once, that the layers
    before have shrunk to a single pixel. Nothing is changed.

    Args:
        module: in the mode that it shall be trained in.
        example: (1, C, H, W), an input it takes.
        objective: the loss; several noisy copies of an image are as good as several images.
    """
    if getattr(objective, "draws", 1) > 1 or not any(layer.training for layer in batch_normalisation(module)):
        return 1
    before = {name: buffer.clone() for name, buffer in module.named_buffers()}
    try:
        with torch.random.fork_rng(), torch.no_grad():
            module(example)
    except ValueError:  # torch: "Expected more than 1 value per channel when training"
        return 2
    finally:
        for name, buffer in module.named_buffers():
            buffer.copy_(before[name])
    return 1


@dataclass(slots=True)
class Optimiser:
    """AdamW over the trained parameters, and how many epochs it has seen.

    Attributes:
        parameters: by name.
        adam: the optimiser.
        epochs: finished.
    """

    parameters: dict[str, nn.Parameter]
    adam: torch.optim.Optimizer
    epochs: int = 0

    @classmethod
    def new(cls, module: nn.Module, plan: Schedule) -> Optimiser:
        """At the first step."""
        trained = {name: weight for name, weight in module.named_parameters() if weight.requires_grad}
        return cls(trained, torch.optim.AdamW(trained.values(), weight_decay=plan.weight_decay))

    def step(self, loss: Tensor, rate: float, group: Group = ALONE) -> float:
        """Descend once, at learning rate `rate`, on the sum of the losses of all processes; what it is."""
        for settings in self.adam.param_groups:
            settings["lr"] = rate
        self.adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        total = loss.detach().clone()
        group.add([total, *(weight.grad for weight in self.parameters.values() if weight.grad is not None)])
        self.adam.step()
        return total.item()

    def tensors(self) -> dict[str, Tensor]:
        """Everything that it remembers, by name, for a checkpoint."""
        moments = self.adam.state_dict()["state"]
        return {
            f"{number}.{name}": torch.as_tensor(value)
            for number, values in moments.items()
            for name, value in values.items()
        }

    def restore(self, tensors: dict[str, Tensor], epochs: int) -> None:
        """Go on from `tensors`, after `epochs` epochs."""
        content: dict[str, Any] = self.adam.state_dict()
        for key, tensor in tensors.items():
            number, _, name = key.partition(".")
            content["state"].setdefault(int(number), {})[name] = tensor
        self.adam.load_state_dict(content)
        self.epochs = epochs


def _precision(plan: Schedule, device: torch.device) -> AbstractContextManager[Any]:
    return torch.autocast(device.type, torch.bfloat16) if plan.bfloat16 else nullcontext()


def _between(first: float, last: float, share: float) -> float:
    """From `first` to `last` along half a cosine."""
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2
