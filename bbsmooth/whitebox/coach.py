"""How one model is trained: what is optimised, against which loss, at which pace, and what comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from bbsmooth.whitebox.adaptation import Adaptation, Full, trained_state
from bbsmooth.whitebox.autolora import AutoLora, AutoRate
from bbsmooth.whitebox.distributed import ALONE, Group
from bbsmooth.whitebox.fitting import Pace
from bbsmooth.whitebox.objectives import Objective


class Coach(Protocol):
    """Trains one model; its memory goes into a checkpoint with the optimiser's."""

    @property
    def module(self) -> nn.Module:
        """What is optimised."""
        ...

    @property
    def objective(self) -> Objective:
        """The loss."""
        ...

    @property
    def pace(self) -> Pace:
        """How long and how fast."""
        ...

    def end_epoch(self) -> Mapping[str, float]:
        """Look back on an epoch; what is to be noted of it besides its loss."""
        ...

    def memory(self) -> dict[str, Tensor]:
        """The weights and everything else that going on needs, by name."""
        ...

    def remember(self, memory: Mapping[str, Tensor]) -> None:
        """Go on from there."""
        ...

    def trained(self) -> nn.Module:
        """The trained classifier, once all epochs are over."""
        ...


@dataclass(frozen=True, slots=True)
class PlainCoach:
    """One loss, one schedule, the last weights."""

    module: nn.Module
    adaptation: Adaptation
    objective: Objective
    pace: Pace

    def end_epoch(self) -> Mapping[str, float]:
        """See `Coach`."""
        return {}

    def memory(self) -> dict[str, Tensor]:
        """See `Coach`."""
        return trained_state(self.module, self.adaptation)

    def remember(self, memory: Mapping[str, Tensor]) -> None:
        """See `Coach`."""
        self.module.load_state_dict(memory, strict=False)

    def trained(self) -> nn.Module:
        """See `Coach`."""
        return self.module


@dataclass(slots=True)
class AutoLoraCoach:
    """AutoLoRa's: two branches, weights of the loss and learning rate by what was reached, the best weights.

    Args:
        objective: with the branches.
        pace: the learning rate that halves itself.
        robust_accuracy: of the extractor on held-out images.
        group: processes that train together.
    """

    objective: AutoLora
    pace: AutoRate
    robust_accuracy: Callable[[], float]
    group: Group = ALONE
    _best: dict[str, Tensor] = field(init=False, default_factory=dict)

    @property
    def module(self) -> nn.Module:
        """See `Coach`."""
        module: nn.Module = self.objective.branches.module
        return module

    def end_epoch(self) -> Mapping[str, float]:
        """See `Coach`."""
        self.objective.end_epoch(self.group)
        accuracy = self.group.same(self.robust_accuracy())
        best, restart = self.pace.judge(accuracy)
        if best or not self._best:  # without held-out images no epoch is better than another
            self._best = _copies(self._state())
        if restart:
            self.module.load_state_dict(self._best)
        natural = self.objective.natural_accuracy
        return {"robust_accuracy": accuracy, "natural_accuracy": natural, "learning_rate": self.pace.current}

    def memory(self) -> dict[str, Tensor]:
        """See `Coach`."""
        best = {f"best {name}": tensor for name, tensor in self._best.items()}
        scalars = {
            "natural accuracy": torch.tensor(self.objective.natural_accuracy, dtype=torch.float64),
            "accuracies": torch.tensor(self.pace.accuracies, dtype=torch.float64),
        }
        return self._state() | best | scalars

    def remember(self, memory: Mapping[str, Tensor]) -> None:
        """See `Coach`. The learning rate follows from the accuracies."""
        self.objective.natural_accuracy = float(memory["natural accuracy"])
        for accuracy in memory["accuracies"].tolist():
            self.pace.judge(accuracy)
        self._best = {name[5:]: tensor for name, tensor in memory.items() if name.startswith("best ")}
        self.module.load_state_dict({name: memory[name] for name in self._state()})

    def trained(self) -> nn.Module:
        """See `Coach`."""
        self.module.load_state_dict(self._best)
        return self.objective.branches.extractor()

    def _state(self) -> dict[str, Tensor]:
        return trained_state(self.module, Full())


def _copies(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in state.items()}
