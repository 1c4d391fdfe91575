from itertools import count

import pytest
import torch

from bbsmooth.randomness import fork
from bbsmooth.tuning import (
    BatchObjective,
    CorrectedDescent,
    CrossEntropy,
    Distillation,
    Gains,
    Normal,
    Sgd,
    Spsa,
    State,
    StepContext,
    StepResult,
)
from oracles import Feedback
from tests.bbsmooth.tuning.learners.surrogate.test_learner import DATA
from tests.bbsmooth.tuning.test_tune import Brightness, Gamma

GAINS = Gains(learning_rate=1.0, probe_radius=1e-3, learning_decay=0.0, probe_decay=0.0, stability=0.0)
LEARNER = CorrectedDescent(
    estimator=Spsa(directions=Normal(), num_directions=1),
    rule=Sgd(),
    gains=GAINS,
    distillation=Distillation(widths=(4,), warm_up_steps=60, fit_steps=1, fit_rate=0.02),
)
AT = torch.tensor([0.02, 0.1, 0.0])


def result(oracle: Brightness, memory: State, seed: int, feedback: Feedback = Feedback.PROBABILITIES) -> StepResult:
    drawn = DATA.sample(20, fork(4))
    batch = BatchObjective(
        coordinator=Gamma(),
        images=drawn.noisy,
        truth=drawn.truth,
        feedback=feedback,
        loss=CrossEntropy(),
        ask=oracle.ask,
        names=(f"{seed}-{each}".encode() for each in count()),
    )
    return LEARNER.step(StepContext(batch=batch, parameters=AT, memory=memory, step=1, data=DATA, generator=fork(seed)))


def gradients(memory: State) -> torch.Tensor:
    return torch.stack([AT - result(Brightness(), memory, seed).parameters for seed in range(60)]).double()


def test_the_stand_in_takes_variance_off_and_leaves_no_bias() -> None:
    taught = dict(result(Brightness(), LEARNER.initial_memory(AT), 0).memory)
    plain = gradients(taught | {"share": torch.zeros(2)})
    half = gradients(taught | {"share": torch.tensor([0.5, 1.0])})
    difference = half - plain  # along the same directions
    assert (difference.mean(0).abs() <= 4 * difference.std(0) / len(difference) ** 0.5 + 1e-4).all()
    assert half.var(0).sum() < 0.8 * plain.var(0).sum()


@pytest.mark.parametrize("feedback", [Feedback.PROBABILITIES, Feedback.LABELS])
def test_every_answer_is_remembered_and_the_share_is_learnt(feedback: Feedback) -> None:
    oracle, memory = Brightness(), LEARNER.initial_memory(AT)
    for seed in range(3):
        memory = result(oracle, memory, seed, feedback).memory
    assert oracle.queries == 3 * 2 * 20 == len(memory["told.images"])
    assert memory["share"][1] > 0
