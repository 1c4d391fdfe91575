"""Trainers: the module that is optimised, its loss, its schedule, and the model that comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from bbsmooth.whitebox.adaptation import trained_state
from bbsmooth.whitebox.autolora import AutoLora, AutoRate
from bbsmooth.whitebox.fitting import Schedule
from bbsmooth.whitebox.objectives import TrainingObjective


class Trainer(Protocol):
    """Trains one model; its state goes into a checkpoint with the optimiser's."""

    @property
    def module(self) -> nn.Module:
        """The module that is optimised."""
        ...

    @property
    def objective(self) -> TrainingObjective:
        """The loss."""
        ...

    @property
    def schedule(self) -> Schedule:
        """Epochs, batch size and learning rate."""
        ...

    def end_epoch(self) -> Mapping[str, float]:
        """Look back on an epoch: figures for the history, besides its loss."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """The weights and everything else that going on needs, by name."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state that `state_dict` gave."""
        ...

    def trained(self) -> nn.Module:
        """The trained classifier, once all epochs are over."""
        ...


@dataclass(frozen=True, slots=True)
class PlainTrainer:
    """One loss, one schedule, the last weights; with `statistics`, buffers are part of what is trained."""

    module: nn.Module
    statistics: bool
    objective: TrainingObjective
    schedule: Schedule

    def end_epoch(self) -> Mapping[str, float]:
        """No figures besides the loss."""
        return {}

    def state_dict(self) -> dict[str, Tensor]:
        """The trained tensors, by name."""
        return trained_state(self.module, statistics=self.statistics)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from the trained tensors."""
        self.module.load_state_dict(state, strict=False)

    def trained(self) -> nn.Module:
        """The module itself."""
        return self.module


@dataclass(slots=True)
class AutoLoraTrainer:
    """AutoLoRa's: two branches, weights of the loss and learning rate by what was reached, the best weights.

    Args:
        objective: with the branches.
        schedule: the learning rate that halves itself.
        robust_accuracy: of the extractor on held-out images.
    """

    objective: AutoLora
    schedule: AutoRate
    robust_accuracy: Callable[[], float]
    _best: dict[str, Tensor] = field(init=False, default_factory=dict)

    @property
    def module(self) -> nn.Module:
        """The classifier with its branches."""
        module: nn.Module = self.objective.branches.module
        return module

    def end_epoch(self) -> Mapping[str, float]:
        """Halve the rate where accuracy stalls: accuracies and rate of the epoch."""
        self.objective.look()
        accuracy = self.objective.group.same(self.robust_accuracy())
        best, restart = self.schedule.after_epoch(accuracy)
        if best or not self._best:  # without held-out images no epoch is better than another
            self._best = _copies(self._state())
        if restart:
            self.module.load_state_dict(self._best)
        natural = self.objective.natural_accuracy
        return {"robust_accuracy": accuracy, "natural_accuracy": natural, "learning_rate": self.schedule.current}

    def state_dict(self) -> dict[str, Tensor]:
        """Both branches, the best ones so far, and the accuracies, by name."""
        best = {f"best {name}": tensor for name, tensor in self._best.items()}
        scalars = {
            "natural accuracy": torch.tensor(self.objective.natural_accuracy, dtype=torch.float64),
            "accuracies": torch.tensor(self.schedule.accuracies, dtype=torch.float64),
        }
        return self._state() | best | scalars

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state that `state_dict` gave. The learning rate follows from the accuracies."""
        self.objective.natural_accuracy = float(state["natural accuracy"])
        for accuracy in state["accuracies"].tolist():
            self.schedule.after_epoch(accuracy)
        self._best = {name[5:]: tensor for name, tensor in state.items() if name.startswith("best ")}
        self.module.load_state_dict({name: state[name] for name in self._state()})

    def trained(self) -> nn.Module:
        """The best extractor, without the branch."""
        self.module.load_state_dict(self._best)
        return self.objective.branches.extractor()

    def _state(self) -> dict[str, Tensor]:
        return trained_state(self.module, statistics=True)


def _copies(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in state.items()}
