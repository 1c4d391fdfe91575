import pytest

from bbsmooth.tuning import BudgetSchedule, Descent, Gains, Rademacher, Spsa, SpsaGc, TunePlan

GAINS = Gains(learning_rate=1e-3, probe_radius=0.05, learning_decay=0.4, probe_decay=0.1, stability=0.0)


def learner(num_directions: int) -> Descent:
    estimator = Spsa(directions=Rademacher(), num_directions=num_directions)
    return Descent(estimator=estimator, rule=SpsaGc(momentum=0.9), gains=GAINS)


def plan(*, num_directions: int = 1, batch_size: int = 100, evaluations: int = 3) -> TunePlan:
    return TunePlan(
        learner=learner(num_directions),
        batch_size=batch_size,
        evaluations=evaluations,
    )


def test_a_budget_is_divided_into_steps_and_validations() -> None:
    schedule = BudgetSchedule.within(20_000, plan(), num_images=3_200)
    assert schedule == BudgetSchedule(
        num_steps=85, repeats=1, step_queries=200, num_draws=1000, validated_after=(0, 42, 85)
    )
    assert schedule.queries == 20_000


@pytest.mark.parametrize("num_directions", [1, 3])
@pytest.mark.parametrize("evaluations", [2, 3, 7])
def test_no_budget_is_exceeded_and_none_is_left_that_holds_another_step(num_directions: int, evaluations: int) -> None:
    chosen = plan(num_directions=num_directions, batch_size=7, evaluations=evaluations)
    for queries in range(100, 500):
        schedule = BudgetSchedule.within(queries, chosen, num_images=50)
        assert schedule.queries <= queries
        if schedule.num_steps >= evaluations:
            assert schedule.queries > queries - schedule.step_queries
        assert schedule.validated_after[0] == 0
        assert schedule.validated_after[-1] == schedule.num_steps


def test_few_images_come_several_times_as_long_as_that_leaves_steps_enough() -> None:
    few = BudgetSchedule.within(20_000, plan(), num_images=8)
    assert (few.repeats, few.step_queries) == (12, 2 * 96)
    assert BudgetSchedule.within(1_000, plan(), num_images=5).repeats == 5
    assert BudgetSchedule.within(300, plan(), num_images=5).step_queries == 10
    assert BudgetSchedule.within(20_000, plan(), num_images=60).repeats == 1


def test_a_budget_without_a_step_is_refused_and_the_one_named_is_enough() -> None:
    # 15 % of 233 are 34, so 11 draws for each of 3 evaluations: 200 + 33. One query less pays for no step.
    for queries in (0, 200, 232):
        with pytest.raises(ValueError, match="at least 233 queries"):
            BudgetSchedule.within(queries, plan(), num_images=1_000)
    assert BudgetSchedule.within(233, plan(), num_images=1_000).num_steps == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"batch_size": 0},
        {"evaluations": 0},
        {"margin": -1.0},
        {"averaging": 1.0},
        {"heldout_share": 0.0},
        {"validation_fraction": 1.0},
    ],
    ids=str,
)
def test_plans_that_cannot_be_carried_out_are_refused(changed: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="got TunePlan"):
        TunePlan(
            learner=learner(1),
            **changed,  # type: ignore[arg-type]
        )
