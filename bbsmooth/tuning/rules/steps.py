"""Update rules as pure functions: (state, gradient) -> (new state, direction); the loop subtracts a_k * direction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

State = Mapping[str, Tensor]
"""All that a rule remembers, by name; empty for a rule without memory."""


class Update(NamedTuple):
    """The rule's next state, and the direction (P,) to step against."""

    state: State
    direction: Tensor


class StepRule(Protocol):
    """A way to turn gradients into steps."""

    def initial_state(self, parameters: Tensor) -> State:
        """The state before the first gradient, for parameters (P,)."""
        ...

    def update(self, state: State, gradient: Tensor) -> Update:
        """Return what to remember, and where to go."""
        ...


@dataclass(frozen=True, slots=True)
class Sgd:
    """The gradient itself: plain SPSA."""

    def initial_state(self, parameters: Tensor) -> State:
        """Nothing."""
        return {}

    def update(self, state: State, gradient: Tensor) -> Update:
        """Return the state as it is, and the gradient as the direction."""
        return Update(state, gradient)


@dataclass(frozen=True, slots=True)
class Sign:
    """The gradient's signs: steps of one length, whatever the scale. Liu et al. (ZO-signSGD), ICLR 2019."""

    def initial_state(self, parameters: Tensor) -> State:
        """Nothing."""
        return {}

    def update(self, state: State, gradient: Tensor) -> Update:
        """Return the state as it is, and the signs of the gradient as the direction."""
        return Update(state, gradient.sign())


@dataclass(frozen=True, slots=True, kw_only=True)
class SpsaGc:
    """Momentum with look-ahead: m' = b m + g, direction g + b m'.

    BlackVIP (Oh et al., CVPR 2023, equation 6) evaluates g at the point z + b m that momentum is about to reach.
    Written for that point itself, which is what is probed and kept here, Nesterov's rule reads as above (Bengio,
    Boulanger-Lewandowski, Pascanu, ICASSP 2013, equation 7, with a constant gain).

    Args:
        momentum: b, in [0, 1).

    Raises:
        ValueError: `momentum` is outside [0, 1).
    """

    momentum: float

    def __post_init__(self) -> None:
        """Refuse momentum that never fades."""
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), got {self.momentum}")

    def initial_state(self, parameters: Tensor) -> State:
        """No momentum."""
        return {"momentum": torch.zeros_like(parameters)}

    def update(self, state: State, gradient: Tensor) -> Update:
        """Return the new momentum, and the gradient plus a share of it (Nesterov) as the direction."""
        momentum = self.momentum * state["momentum"] + gradient
        return Update({"momentum": momentum}, gradient + self.momentum * momentum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adam:
    """Means of the gradient and of its square, corrected for their start at zero. Kingma & Ba, ICLR 2015, algorithm 1.

    Args:
        beta1: memory of the mean, in [0, 1).
        beta2: memory of the square, in [0, 1).
        epsilon: added to the root of the square.

    Raises:
        ValueError: a memory outside [0, 1), or an epsilon that is not positive.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        """Refuse memory that never fades, and division by zero."""
        if not (0 <= self.beta1 < 1 and 0 <= self.beta2 < 1 and self.epsilon > 0):
            raise ValueError(f"betas must be in [0, 1) and epsilon positive, got {self}")

    def initial_state(self, parameters: Tensor) -> State:
        """Both means at zero."""
        zeros = torch.zeros_like(parameters)
        return {"mean": zeros, "square": zeros, "count": torch.zeros((), dtype=torch.int64)}

    def update(self, state: State, gradient: Tensor) -> Update:
        """Return the new means and count, and the unbiased mean over the root of the mean square as the direction."""
        count = state["count"] + 1
        mean = self.beta1 * state["mean"] + (1 - self.beta1) * gradient
        square = self.beta2 * state["square"] + (1 - self.beta2) * gradient**2
        unbiased_mean = mean / (1 - self.beta1 ** int(count))
        unbiased_square = square / (1 - self.beta2 ** int(count))
        direction = unbiased_mean / (unbiased_square.sqrt() + self.epsilon)
        return Update({"mean": mean, "square": square, "count": count}, direction)
