"""A descent on what is shown, through a map of scores that is fitted to the descent's own answers as it goes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bbsmooth.coordinator.score_scaling import ScoreScaled
from bbsmooth.tuning.executor import Ask, QueryExecutor, Question
from bbsmooth.tuning.learners.descent import Descent
from bbsmooth.tuning.learners.protocol import StepContext, StepResult
from bbsmooth.tuning.learners.recorder import Recorder
from bbsmooth.tuning.learners.score_scaling import fitted
from bbsmooth.tuning.rules.steps import State
from oracles import Answers, Feedback

_SCORES, _TRUTH = "joint.scores", "joint.truth"


@dataclass(frozen=True, slots=True, kw_only=True)
class JointFit:
    """Descent on a front's parameters; the map is the most likely one for the last answers, which cost nothing more.

    Losses are of the scores as the map reads them. The answers are about images shown a probe's length off where the
    descent stands, on all sides of it.

    Args:
        descent: on the parameters that come first.
        remembered: answers that the map is fitted to, the last ones.
    """

    descent: Descent
    remembered: int = 4_000

    @property
    def evaluations(self) -> int:
        """Those of the descent."""
        return self.descent.evaluations

    def initial_memory(self, parameters: Tensor) -> State:
        """That of the descent, and no answer yet."""
        return self.descent.initial_memory(parameters)

    def step(self, context: StepContext) -> StepResult:
        """Take a step of the descent, and fit the map to its answers and those before."""
        batch = context.batch
        coordinator = batch.coordinator
        assert isinstance(coordinator, ScoreScaled)
        recorder = Recorder(batch.executor)
        read = _Reading(recorder, coordinator, batch.feedback, context.parameters)
        memory = {name: tensor for name, tensor in context.memory.items() if name not in (_SCORES, _TRUTH)}
        moved = self.descent.step(
            replace(context, batch=replace(batch, executor=read, feedback=Feedback.PROBABILITIES), memory=memory)
        )
        z = coordinator.scaling.log_probabilities(recorder.answers, batch.feedback).float()
        truth = batch.truth.repeat(self.evaluations)
        if _SCORES in context.memory:
            z = torch.cat([context.memory[_SCORES], z])[-self.remembered :]
            truth = torch.cat([context.memory[_TRUTH], truth])[-self.remembered :]
        shown_with, of_map = coordinator.parts(moved.parameters)
        of_map, _ = fitted(coordinator.scaling, z, truth, of_map)
        parameters = torch.cat([shown_with, of_map])
        return StepResult(parameters, dict(moved.memory) | {_SCORES: z, _TRUTH: truth}, moved.notes)


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    """A `QueryExecutor` that leaves the asking to another one, and reads what comes back by a map."""

    executor: QueryExecutor
    coordinator: ScoreScaled
    feedback: Feedback
    parameters: Tensor

    def __call__(self, ask: Ask, questions: Iterable[Question]) -> Iterator[Answers]:
        for answers in self.executor(ask, questions):
            yield self.coordinator.read(answers, self.feedback, self.parameters)
