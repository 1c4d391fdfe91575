"""Recorder of a learner's questions and of what came back, for learners around it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from bbsmooth.tuning.executor import Ask, QueryExecutor, Question
from oracles import Answers


@dataclass(frozen=True, slots=True, eq=False)
class Recorder:
    """A `QueryExecutor` that leaves the asking to another one, and keeps what went to and fro.

    Args:
        executor: asks.
    """

    executor: QueryExecutor
    _shown: list[Tensor] = field(default_factory=list, init=False)
    _answers: list[Answers] = field(default_factory=list, init=False)

    def __call__(self, ask: Ask, questions: Iterable[Question]) -> Iterator[Answers]:
        """Answers to the questions, as the inner executor gives them, which are noted with their questions."""
        for answers in self.executor(ask, self._noted(questions)):
            self._answers.append(answers)
            yield answers

    def _noted(self, questions: Iterable[Question]) -> Iterator[Question]:
        for images, name in questions:
            self._shown.append(images)
            yield images, name

    @property
    def shown(self) -> Tensor:
        """(N, C, H, W): all that was asked about, in order."""
        return torch.cat(self._shown)

    @property
    def answers(self) -> Answers:
        """To all of it."""
        return Answers.join(self._answers)
