from typing import Any, cast

import torch

from bbsmooth.randomness import fork
from bbsmooth.tuning import Descent, Gains, Rademacher, Sgd, Spsa, StepContext
from tests.bbsmooth.tuning.estimators.test_parameter_space import SLOPE, Function

NOTHING: Any = None


def test_a_step_goes_against_the_gradient_by_its_gain() -> None:
    gains = Gains(learning_rate=0.8, probe_radius=0.1, learning_decay=1.0, probe_decay=0.0, stability=0.0)
    learner = Descent(estimator=Spsa(directions=Rademacher(), num_directions=4), rule=Sgd(), gains=gains)
    at, batch = torch.zeros(3), cast("Any", Function(SLOPE))
    context = StepContext(
        batch=batch, parameters=at, memory=learner.initial_memory(at), step=4, data=NOTHING, generator=fork(1)
    )
    result = learner.step(context)
    estimate = learner.estimator.estimate(batch, at, probe_radius=0.1, generator=fork(1))
    torch.testing.assert_close(result.parameters, -0.2 * estimate.gradient)
    assert result.notes == {"loss": estimate.loss, "learning_rate": 0.2, "probe_radius": 0.1}
