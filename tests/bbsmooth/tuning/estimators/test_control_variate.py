import pytest
import torch
from torch import Tensor

from bbsmooth.randomness import fork
from bbsmooth.tuning import Coefficient, ControlVariate, Cosines, GradientEstimator, OutputDifferences, RandomDirections
from tests.bbsmooth.tuning.estimators.test_image_space import KnownImages, assert_mean, known

AT = torch.tensor([0.3, -0.2, 1.0])
PLAIN: GradientEstimator = OutputDifferences(basis=Cosines(3), directions=RandomDirections(), num_directions=1)


def wrong_by(objective: KnownImages, amount: float) -> KnownImages:
    """A model of the objective's loss whose slope is off by a random part of this size."""
    error = known(Cosines(3)).slope.flip(0) * amount
    return KnownImages(objective.mixing, objective.slope + error)


def controlled(model: KnownImages, share: float = 1.0) -> ControlVariate:
    return ControlVariate(estimator=PLAIN, model=model, slope=model.gradient, share=share)  # type: ignore[arg-type]


def estimates(variate: ControlVariate, objective: KnownImages) -> Tensor:
    return torch.stack(
        [
            variate.estimate(objective, AT, probe_radius=0.1, generator=fork(seed)).estimate.gradient.double()  # type: ignore[arg-type]
            for seed in range(300)
        ]
    )


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("amount", [0.3, 5.0])
def test_a_wrong_model_biases_nothing(amount: float, share: float) -> None:
    objective = known(Cosines(3))
    draws = estimates(controlled(wrong_by(objective, amount), share), objective)
    assert_mean(draws, objective.gradient(AT).double())


def test_a_perfect_model_leaves_no_variance() -> None:
    objective = known(Cosines(3))
    draws = estimates(controlled(objective), objective)
    torch.testing.assert_close(draws[7], objective.gradient(AT).double(), atol=1e-3, rtol=1e-3)
    assert draws.var(0).sum() < 1e-4


def test_the_variance_is_that_of_the_gap() -> None:
    objective = known(Cosines(3))
    plain = estimates(controlled(objective, 0.0), objective).var(0).sum()
    good = estimates(controlled(wrong_by(objective, 0.3)), objective).var(0).sum()
    assert (good / plain).item() == pytest.approx(0.09, rel=0.4)


def test_the_model_costs_no_query() -> None:
    objective, model = known(Cosines(3)), known(Cosines(3))
    controlled(model).estimate(objective, AT, probe_radius=0.1, generator=fork(0))  # type: ignore[arg-type]
    assert sum(objective.asked) == PLAIN.evaluations * 4


@pytest.mark.parametrize(("scale", "expected"), [(1.0, 1.0), (4.0, 0.25), (-1.0, 0.0)])
def test_the_best_share_is_learnt_from_earlier_batches(scale: float, expected: float) -> None:
    objective = known(Cosines(3))
    model = KnownImages(objective.mixing, scale * objective.slope)
    share = Coefficient()
    assert share.best == 0
    for seed in range(5):
        found = controlled(model, share.best).estimate(objective, AT, probe_radius=0.1, generator=fork(seed))  # type: ignore[arg-type]
        share = share.after(found, memory=0.9)
    # The plain estimate holds the gradient too, which has nothing to do with the surplus: near, not equal.
    assert share.best == pytest.approx(expected, abs=0.3 * expected)
