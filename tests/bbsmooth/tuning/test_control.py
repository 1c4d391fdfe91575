import pytest
import torch
from torch import Tensor

from bbsmooth.randomness import fork
from bbsmooth.tuning import ControlVariate, Cosines, OutputDifferences, RandomDirections
from bbsmooth.tuning.control import Gap
from tests.bbsmooth.tuning.test_outputs import KnownImages, assert_mean, estimates, known

AT = torch.tensor([0.3, -0.2, 1.0])
PLAIN = OutputDifferences(basis=Cosines(3), directions=RandomDirections(1))


def wrong_by(objective: KnownImages, amount: float) -> KnownImages:
    """A model of the objective's loss whose slope is off by a random part of this size."""
    error = known(Cosines(3)).slope.flip(0) * amount
    return KnownImages(objective.mixing, objective.slope + error)


def controlled(model: KnownImages, share: float = 1.0) -> ControlVariate:
    return ControlVariate(estimator=PLAIN, model=model.losses_at, share=share)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("amount", [0.3, 5.0])
def test_a_wrong_model_biases_nothing(amount: float, share: float) -> None:
    objective = known(Cosines(3))
    draws = estimates(controlled(wrong_by(objective, amount), share), objective, AT)
    assert_mean(draws, objective.gradient(AT).double())


def test_a_perfect_model_leaves_no_variance() -> None:
    objective = known(Cosines(3))
    draws = estimates(controlled(objective), objective, AT)
    torch.testing.assert_close(draws[7], objective.gradient(AT).double(), atol=1e-3, rtol=1e-3)
    assert draws.var(0).sum() < 1e-4


def test_the_variance_is_that_of_the_gap() -> None:
    objective = known(Cosines(3))
    plain = estimates(PLAIN, objective, AT).var(0).sum()
    good = estimates(controlled(wrong_by(objective, 0.3)), objective, AT).var(0).sum()
    assert (good / plain).item() == pytest.approx(0.09, rel=0.3)


def test_the_model_costs_no_query() -> None:
    objective, model = known(Cosines(3)), known(Cosines(3))
    estimator = controlled(model)
    estimator.estimate(objective, AT, probe_radius=0.1, generator=fork(0))
    assert sum(objective.asked) == estimator.evaluations * 4


def test_losses_of_the_gap_are_the_difference() -> None:
    objective = known(Cosines(3))
    images: Tensor = objective.propose(AT)
    torch.testing.assert_close(
        Gap(objective, objective.losses_at, 0.25).losses_at(images), 0.75 * objective.losses_at(images)
    )
