"""Validation of parameters: fixed noisy images that no step is computed from, and a paired comparison."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from bbsmooth.coordinator import Coordinator, show
from bbsmooth.coordinator.score_scaling import ScoreScaled, read
from bbsmooth.randomness import name_digest
from bbsmooth.tuning.executor import Ask, QueryExecutor, Question, one_by_one
from bbsmooth.tuning.noisy import NoisyImages
from bbsmooth.tuning.objective import QUESTION
from oracles import Answers, Feedback
from oracles.probabilities import true_class_probabilities


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """Result of parameters on the held-out draws.

    Attributes:
        correct: (D,) float32, 1 where the label was right.
        probability: (D,) float32, probability of the true class; equals `correct` where the oracle gives labels only,
            and where its scores are scaled.
    """

    correct: Tensor
    probability: Tensor

    @property
    def accuracy(self) -> float:
        """Noisy accuracy: the share of draws answered rightly."""
        return float(self.correct.double().mean())

    def beats(self, other: Score, *, margin: float) -> bool:
        """Say whether it is worth changing from `other` to this.

        Both stand for the same draws. The mean difference in probability must exceed `margin` of its standard errors,
        since the best of several candidates looks better than it is; and no accuracy may be lost.
        """
        gain = (self.probability - other.probability).double()
        error = float(gain.std(correction=0)) / math.sqrt(len(gain))
        return float(gain.mean()) > margin * error and self.accuracy >= other.accuracy


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Validation:
    """Scores parameters on the same draws each time.

    Args:
        coordinator: in front of the oracle.
        data: held-out images.
        num_draws: noisy images; draw d is image d mod N, with its noise number `first` + d // N.
        feedback: what the oracle's answers hold.
        ask: reaches the oracle.
        executor: in which order questions are asked.
        once: whether the same answers score all parameters that are scored together, which only change how a
            `ScoreScaled` reads them.
        first: number of each image's first noise.
    """

    coordinator: Coordinator
    data: NoisyImages
    num_draws: int
    feedback: Feedback
    ask: Ask
    executor: QueryExecutor = one_by_one
    once: bool = False
    first: int = 0

    def cost(self, number: int) -> int:
        """Queries of scoring that many parameters together."""
        return self.num_draws * (1 if self.once else number)

    def score(self, parameters: Tensor, *, evaluation: int) -> Score:
        """Ask about all draws with `parameters` (P,); costs `num_draws` queries. `evaluation` numbers the occasion."""
        (score,) = self.scores([(parameters, evaluation)])
        return score

    def scores(self, wanted: Sequence[tuple[Tensor, int]]) -> list[Score]:
        """The same for several parameters, each with its occasion, which are asked about together."""
        firsts = range(0, self.num_draws, QUESTION)
        if self.once:
            _, evaluation = wanted[-1]
            shown = (self._question(first, wanted[-1][0], evaluation) for first in firsts)
            answered = list(zip(firsts, self.executor(self.ask, shown), strict=True))
            return [self._score(answered, each) for each, _ in wanted]
        questions = (
            self._question(first, parameters, evaluation) for parameters, evaluation in wanted for first in firsts
        )
        told = self.executor(self.ask, questions)
        return [self._score(zip(firsts, islice(told, len(firsts)), strict=True), each) for each, _ in wanted]

    def _score(self, told: Iterable[tuple[int, Answers]], parameters: Tensor) -> Score:
        correct, probability = [], []
        for first, answered in told:
            answers, feedback = read(self.coordinator, answered, self.feedback, parameters)
            if isinstance(self.coordinator, ScoreScaled):  # which changes what its probabilities mean
                feedback = Feedback.LABELS
            truth = self.data.labels[[draw % len(self.data) for draw in self._draws(first)]]
            correct.append((answers.labels == truth).float())
            probability.append(true_class_probabilities(answers, truth, feedback))
        return Score(torch.cat(correct), torch.cat(probability))

    def _draws(self, first: int) -> range:
        """The draws that are asked about together with `first`."""
        return range(first, min(first + QUESTION, self.num_draws))

    def _question(self, first: int, parameters: Tensor, evaluation: int) -> Question:
        numbers = [divmod(draw, len(self.data)) for draw in self._draws(first)]
        noisy = self.data.draw([index for _, index in numbers], [self.first + number for number, _ in numbers])
        with torch.no_grad():
            shown = show(self.coordinator, noisy, parameters)
        return shown, name_digest(self.data.seed, "tune", "heldout", evaluation, first)
