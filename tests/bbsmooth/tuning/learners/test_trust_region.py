from dataclasses import dataclass
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from bbsmooth.randomness import fork
from bbsmooth.tuning import GradientEstimate, StepContext, StepResult, TrustRegion

NOTHING: Any = None
START = torch.tensor([3.0, 4.0])


@dataclass
class Bowl:
    """|z|^2 / 2, with its exact gradient; `offset` raises the loss wherever the start is left behind."""

    evaluations: int = 2
    offset: float = 0.0

    def losses(self, points: Tensor) -> Tensor:
        moved = (points != points[0]).any(1)
        return points.double().square().sum(1) / 2 + self.offset * moved

    def estimate(
        self, objective: "Bowl", at: Tensor, *, probe_radius: float, generator: torch.Generator
    ) -> GradientEstimate:
        return GradientEstimate(at.clone(), float(objective.losses(at[None])))


def trust(radius: float) -> TrustRegion:
    return TrustRegion(estimator=cast("Any", Bowl()), radius=radius, probe_radius=0.1, momentum=0.0, growth=4.0)


def steps(learner: TrustRegion, bowls: list[Bowl]) -> list[StepResult]:
    parameters, memory, results = START, learner.initial_memory(START), []
    for number, bowl in enumerate(bowls, start=1):
        context = StepContext(
            batch=cast("Any", bowl),
            parameters=parameters,
            memory=memory,
            step=number,
            data=NOTHING,
            generator=fork(number),
        )
        results.append(learner.step(context))
        parameters, memory, _ = results[-1]
    return results


def test_a_step_is_taken_once_the_next_batch_confirms_it_and_the_radius_grows() -> None:
    first, second = steps(trust(1.0), [Bowl(), Bowl()])
    torch.testing.assert_close(first.parameters, START)
    torch.testing.assert_close(second.parameters, 0.8 * START)  # length 1 of 5
    assert second.notes["ratio"] == pytest.approx(4.5 / 5)  # 12.5 - 8 of the 5 that a slope of 5 promised
    assert second.notes["radius"] == 4


def test_a_step_that_is_refuted_is_refused_and_the_radius_shrinks() -> None:
    _, second, third = steps(trust(1.0), [Bowl(), Bowl(offset=4.2), Bowl()])
    torch.testing.assert_close(second.parameters, START)
    assert second.notes["ratio"] == pytest.approx(0.3 / 5)
    assert second.notes["radius"] == 0.5
    torch.testing.assert_close(third.parameters, 0.9 * START)


def test_a_step_that_keeps_part_of_its_promise_is_taken_at_the_same_radius() -> None:
    _, second = steps(trust(1.0), [Bowl(), Bowl(offset=2.0)])
    torch.testing.assert_close(second.parameters, 0.8 * START)
    assert second.notes["radius"] == 1


def test_a_radius_that_overshoots_comes_down_until_the_bottom_is_reached() -> None:
    results = steps(trust(100.0), [Bowl()] * 30)
    assert results[-1].parameters.norm() < 0.5
    assert results[-1].notes["radius"] < 5


def test_both_ends_are_paid_for() -> None:
    assert trust(1.0).evaluations == 4


@pytest.mark.parametrize("changed", [{"radius": 0.0}, {"growth": 1.0}, {"momentum": 1.0}, {"accepted": 0.9}], ids=str)
def test_regions_that_cannot_adapt_are_refused(changed: dict[str, float]) -> None:
    settings = {"radius": 1.0, "probe_radius": 0.1} | changed
    with pytest.raises(ValueError, match="trust region"):
        TrustRegion(estimator=NOTHING, **settings)
