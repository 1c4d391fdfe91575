"""Budgets that are spent in few rounds, and what these take; how many rounds there really are is tested by method."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bbsmooth.tuning import BudgetSchedule, TunePlan
from bbsmooth.tuning.certified_share import RadiusJudge
from bbsmooth.tuning.learners.staged import Staged
from bbsmooth.tuning.methods import METHODS, judged_twice
from bbsmooth.tuning.radius_schedule import RadiusSchedule
from bbsmooth.tuning.rounds import Rounds, in_steps


def within(queries: int, num_images: int, plan: TunePlan) -> BudgetSchedule:
    return BudgetSchedule.within(queries, plan, num_images=num_images)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("num_images", [13, 80, 8_000])
@pytest.mark.parametrize("steps", [2, 7, 20, 1_000_000])
def test_a_budget_is_spent_in_no_more_steps_than_are_allowed(name: str, num_images: int, steps: int) -> None:
    plan = METHODS[name].plan
    usual = within(60_000, num_images, plan)
    found = in_steps(plan, steps, lambda plan: within(60_000, num_images, plan))
    schedule = within(60_000, num_images, found)
    assert schedule.num_steps <= steps
    assert schedule.queries <= 60_000
    if usual.num_steps <= steps:
        assert found == plan
    else:
        assert schedule.num_steps >= 0.5 * steps  # images come round whole
        assert schedule.queries > 0.6 * 60_000
        assert found.learner.evaluations == plan.learner.evaluations


def test_a_first_stage_keeps_its_share_of_the_queries() -> None:
    plan = METHODS["equaliser-film"].plan
    assert isinstance(plan.learner, Staged)
    found = in_steps(plan, 20, lambda plan: within(60_000, 8_000, plan)).learner
    assert isinstance(found, Staged)
    assert plan.learner.steps * within(60_000, 8_000, plan).step_queries == pytest.approx(8_000)
    assert found.steps * 51_000 / 20 == pytest.approx(8_000, rel=0.2)


def test_rounds_are_steps_judgements_and_the_clean_images() -> None:
    schedule = within(20_000, 3_200, METHODS["spsa-gc"].plan)
    rounds = Rounds.of(schedule, clean=0)
    assert (rounds.steps, rounds.number) == (85, 88)
    assert sum(size * times for size, times in rounds.sizes) == schedule.queries
    assert Rounds.of(schedule, clean=500).number == 89
    assert rounds.jobs(50_000) == 88
    assert rounds.jobs(150) == 85 * 2 + 3 * 7


def test_where_the_same_answers_judge_both_a_radius_takes_half_as_many_of_them() -> None:
    judge, scaled = RadiusJudge(radius=0.25, needed=0.7), METHODS["matrix-scaling"]
    images = {"num_images": 3_200, "num_heldout": 800}
    twice = RadiusSchedule.within(20_000, judged_twice(scaled).plan, judge, **images)
    usual_share = replace(scaled.plan, validation_fraction=0.15)
    once = RadiusSchedule.within(16_000, usual_share, judge, **images)
    assert once.test_images == twice.test_images
    assert once.validated_after == (once.first_steps, once.num_steps)
    judged = Rounds.of(once, clean=0).sizes[1:]
    assert judged == ((once.look_images * once.look_draws, 1), (once.num_draws, 1))
    assert once.queries == 100 * once.num_steps + sum(size for size, _ in judged) <= 16_000


def test_where_a_radius_decides_there_are_three_judgements_and_the_last_is_of_both() -> None:
    judge = RadiusJudge(radius=0.25, needed=0.7)
    schedule = RadiusSchedule.within(60_000, METHODS["spsa-gc"].plan, judge, num_images=3_200, num_heldout=800)
    rounds = Rounds.of(schedule, clean=0)
    assert rounds.number == schedule.num_steps + 3
    assert sum(size * times for size, times in rounds.sizes) == schedule.queries
