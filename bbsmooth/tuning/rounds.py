"""Rounds of a tuning: how often it waits for answers before it can ask on, and plans of few, large ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count

from bbsmooth.tuning.learners.staged import Staged
from bbsmooth.tuning.plan import BudgetSchedule, TunePlan
from bbsmooth.tuning.radius_schedule import RadiusSchedule

Schedule = BudgetSchedule | RadiusSchedule


@dataclass(frozen=True, slots=True)
class Rounds:
    """Rounds of questions, one after the other; those of one round do not depend on each other's answers.

    Attributes:
        steps: that are taken, each of which is a round.
        sizes: questions of each round, as (questions, rounds of as many), the most that there may be.
    """

    steps: int
    sizes: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, schedule: Schedule, *, clean: int) -> Rounds:
        """Those of a schedule: one for each step, one for each judgement, and one for the clean images.

        Args:
            schedule: of the tuning.
            clean: images that are asked about without noise, before the first step.
        """
        if isinstance(schedule, RadiusSchedule):
            judged = schedule.rounds
        else:
            judged = ((schedule.num_draws, len(schedule.validated_after)),)
        first = ((clean, 1),) if clean else ()
        return cls(schedule.num_steps, (*first, (schedule.step_queries, schedule.num_steps), *judged))

    @property
    def number(self) -> int:
        """Rounds in all."""
        return sum(times for _, times in self.sizes)

    def jobs(self, most: int) -> int:
        """Jobs in all, where one holds at most `most` questions."""
        return sum(times * math.ceil(size / most) for size, times in self.sizes)


def in_steps(plan: TunePlan, steps: int, schedule: Callable[[TunePlan], Schedule]) -> TunePlan:
    """A plan that takes a budget in no more steps than `steps`, each about more images or more often about the same.

    A first stage of a learner keeps its share of the queries.

    Args:
        plan: as it is.
        steps: at most, from 1.
        schedule: how a plan divides the budget; raises `ValueError` where not one step fits.

    Raises:
        ValueError: as `schedule`.
    """
    usual = schedule(plan)
    if usual.num_steps <= steps:
        return plan
    unit = 10 * plan.draws_per_image
    least = usual.step_queries // plan.learner.evaluations * usual.num_steps // steps // unit * unit
    larger = (replace(plan, batch_size=size, fewest_steps=1) for size in count(max(unit, least), unit))
    chosen = next(each for each in larger if schedule(each).num_steps <= steps)
    learner = plan.learner
    if isinstance(learner, Staged):
        own = round(learner.steps * usual.step_queries / schedule(chosen).step_queries)
        learner = replace(learner, steps=max(1, own))
    return replace(chosen, learner=learner)
