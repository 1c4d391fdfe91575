"""Spending queries on the images whose vote is near the threshold, without a bias towards them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bbsmooth.tuning.learners.protocol import Learner, StepContext, StepResult
from bbsmooth.tuning.learners.recorder import Recorder
from bbsmooth.tuning.rules.steps import State
from oracles.probabilities import true_class_probabilities

_VOTES = "importance.votes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """Another way of learning, on images drawn by how undecided the oracle was about them.

    Image i of N is drawn with probability p_i = floor / N + (1 - floor) * s_i / sum(s), with replacement, where
    s_i = 4 v_i (1 - v_i) and v_i is the mean probability of the true class when i was last asked about; images not
    asked about yet have the mean of the others. Each loss is multiplied by 1 / (N p_i), so the mean over a batch, and
    every gradient estimated from it, is on average that of uniform draws (Zhao & Zhang, ICML 2015). Images must come
    round to be known: with many more images than steps ask about, this is a uniform draw.

    Args:
        learner: gets the batches drawn so.
        floor: share of the draws that is uniform, in (0, 1]; no loss is multiplied by more than 1 / floor.

    Raises:
        ValueError: a floor outside (0, 1].
    """

    learner: Learner
    floor: float = 0.5

    def __post_init__(self) -> None:
        """Refuse images that could never be drawn."""
        if not 0 < self.floor <= 1:
            raise ValueError(f"the floor must be in (0, 1], got {self.floor}")

    @property
    def evaluations(self) -> int:
        """Those of the learner."""
        return self.learner.evaluations

    def initial_memory(self, parameters: Tensor) -> State:
        """That of the learner."""
        return self.learner.initial_memory(parameters)

    def probabilities(self, votes: Tensor) -> Tensor:
        """(N,) float64, p_i for votes (N,), NaN where unknown."""
        scores = 4 * votes * (1 - votes)
        known = ~scores.isnan()
        scores = torch.where(known, scores, scores[known].mean() if known.any() else 1.0).double().clamp(min=1e-9)
        return self.floor / len(votes) + (1 - self.floor) * scores / scores.sum()

    def step(self, context: StepContext) -> StepResult:
        """See `Learner.step`; the batch that was given only says how many images to draw."""
        size, total = len(context.batch.truth), len(context.data)
        votes = context.memory.get(_VOTES, torch.full((total,), torch.nan))
        probabilities = self.probabilities(votes)
        chosen = torch.multinomial(probabilities, size, replacement=True, generator=context.generator)
        asked = Recorder(context.batch.executor)
        batch = replace(
            context.batch,
            images=context.data.draw(chosen.tolist(), [context.step * size + place for place in range(size)]),
            truth=context.data.labels[chosen],
            weights=(1 / (total * probabilities[chosen])).float(),
            executor=asked,
        )
        inner = {name: tensor for name, tensor in context.memory.items() if name != _VOTES}
        result = self.learner.step(replace(context, batch=batch, memory=inner))
        truth = batch.truth.repeat(self.evaluations)
        seen = true_class_probabilities(asked.answers, truth, batch.feedback).view(self.evaluations, size).mean(0)
        return result._replace(memory={**result.memory, _VOTES: votes.index_put((chosen,), seen)})
