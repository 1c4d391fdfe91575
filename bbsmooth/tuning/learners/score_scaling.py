"""Maximum likelihood for a map of scores: every answer tells its whole gradient, so none is estimated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bbsmooth.coordinator import show
from bbsmooth.coordinator.score_scaling import ScalingKind, ScoreScaled, ScoreScaling
from bbsmooth.tuning.learners.protocol import StepContext, StepResult
from bbsmooth.tuning.rules.steps import State

_SLOPES = {ScalingKind.VECTOR: 0.3, ScalingKind.MATRIX: 0.1}
"""Standard deviations of A's prior, chosen on the answers of one network; twice or half as much changes little."""

_SHIFT = 1.0
_SCORES, _TRUTH = "scores", "truth"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreFit:
    """The map that makes the true classes of all answers so far most likely, under a normal prior around no change.

    minimise over A, b:   - sum_i log softmax(z_i + A z_i + b)[y_i] + |A|^2 / (2 s_A^2) + |b|^2 / (2 s_b^2),

    which is convex (multinomial logistic regression), by L-BFGS from where the step before ended.

    Args:
        most_iterations: of L-BFGS in a step.
    """

    most_iterations: int = 100

    @property
    def evaluations(self) -> int:
        """One."""
        return 1

    def initial_memory(self, parameters: Tensor) -> State:
        """Nothing yet."""
        return {}

    def step(self, context: StepContext) -> StepResult:
        """Ask about the batch once, and fit to all that was answered."""
        batch = context.batch
        coordinator = batch.coordinator
        assert isinstance(coordinator, ScoreScaled)
        with torch.no_grad():
            shown = show(coordinator, batch.images, context.parameters)
        z = coordinator.scaling.log_probabilities(batch.answers(shown), batch.feedback)
        scores, truth = z.float(), batch.truth
        if context.memory:
            scores = torch.cat([context.memory[_SCORES], scores])
            truth = torch.cat([context.memory[_TRUTH], truth])
        parameters, loss = fitted(coordinator.scaling, scores, truth, context.parameters, self.most_iterations)
        return StepResult(parameters, {_SCORES: scores, _TRUTH: truth}, {"loss": loss})


def fitted(
    scaling: ScoreScaling, z: Tensor, truth: Tensor, start: Tensor, most_iterations: int = 100
) -> tuple[Tensor, float]:
    """The most likely parameters (P,) float32, and the mean negative log-likelihood with them.

    Args:
        scaling: the map.
        z: (N, K) log-probabilities.
        truth: (N,) int64, below K.
        start: (P,) to begin at; the end does not depend on it, once converged.
        most_iterations: of L-BFGS.
    """
    from scipy.optimize import minimize

    scores, rows, classes = z.double().numpy(), np.arange(len(z)), scaling.classes
    own, diagonal = truth.numpy(), scaling.kind is ScalingKind.VECTOR
    precision = np.full(scaling.size, _SLOPES[scaling.kind] ** -2)
    precision[-classes:] = _SHIFT**-2

    def objective(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Negative log posterior, and its gradient, both over N."""
        slopes, shift = values[:-classes], values[-classes:]
        mapped = scores * slopes if diagonal else scores @ slopes.reshape(classes, classes).T
        mapped = scores + mapped + shift
        mapped -= mapped.max(1, keepdims=True)
        likely = np.exp(mapped)
        total = likely.sum(1, keepdims=True)
        loss = float(np.log(total).sum() - mapped[rows, own].sum())
        error = likely / total
        error[rows, own] -= 1
        of_slopes = (error * scores).sum(0) if diagonal else (error.T @ scores).ravel()
        gradient = np.concatenate([of_slopes, error.sum(0)]) + precision * values
        return (loss + 0.5 * float(precision @ values**2)) / len(scores), gradient / len(scores)

    found = minimize(
        objective,
        start.double().numpy(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": most_iterations, "ftol": 1e-12, "gtol": 1e-7},
    )
    loss = found.fun - 0.5 * float(precision @ found.x**2) / len(scores)
    return torch.from_numpy(found.x).float(), float(loss)
