from itertools import count

import pytest
import torch
from torch import Tensor

from bbsmooth.noise import Gaussian, Grid
from bbsmooth.randomness import fork
from bbsmooth.tuning import (
    BatchObjective,
    CrossEntropy,
    Distillation,
    NoisyImages,
    State,
    StepContext,
    SurrogateDescent,
    SurrogateLearner,
)
from oracles import Feedback
from tests.bbsmooth.tuning.test_tune import BRIGHT, IMAGES, Brightness, Gamma

DATA = NoisyImages(images=IMAGES, labels=BRIGHT, noise=Gaussian(0.3), grid=Grid(1), seed=0, purpose="test")
LEARNER = SurrogateLearner(
    distillation=Distillation(widths=(4,), warm_up_steps=0, fit_steps=30, fit_rate=0.02, batch_size=16),
    descent=SurrogateDescent(steps=5, anchor=0.0),
)


def step_context(batch: BatchObjective, parameters: Tensor, memory: State, step: int) -> StepContext:
    return StepContext(batch=batch, parameters=parameters, memory=memory, step=step, data=DATA, generator=fork(step))


def rounds(learner: SurrogateLearner, number: int, oracle: Brightness) -> tuple[list[float], State]:
    """The surrogate's losses over rounds, and what is remembered in the end."""
    parameters = Gamma().initial_parameters()
    memory, losses = learner.initial_memory(parameters), []
    for step in range(1, number + 1):
        drawn = DATA.sample(20, fork(9, step))
        batch = BatchObjective(
            coordinator=Gamma(),
            images=drawn.noisy,
            truth=drawn.truth,
            feedback=Feedback.PROBABILITIES,
            loss=CrossEntropy(),
            ask=oracle.ask,
            names=(f"{step}-{each}".encode() for each in count()),
        )
        parameters, memory, notes = learner.step(step_context(batch, parameters, memory, step))
        losses.append(notes["surrogate_loss"])
    return losses, memory


def test_the_stand_in_learns_what_the_oracle_says() -> None:
    losses, _ = rounds(LEARNER, 8, Brightness())
    assert losses[-1] < 0.7 * losses[0]


def test_every_answer_is_kept_up_to_the_most() -> None:
    oracle = Brightness()
    _, memory = rounds(LEARNER, 3, oracle)
    assert oracle.queries == 60
    assert len(memory["told.images"]) == 60
    forgetful = Distillation(widths=(4,), warm_up_steps=2, fit_steps=1, replay_capacity=50)
    _, memory = rounds(SurrogateLearner(distillation=forgetful), 3, Brightness())
    assert len(memory["told.beliefs"]) == 50


def test_what_is_remembered_is_not_changed_by_the_next_round() -> None:
    _, memory = rounds(LEARNER, 1, Brightness())
    before = {name: tensor.clone() for name, tensor in memory.items()}
    drawn = DATA.sample(20, fork(0))
    batch = BatchObjective(
        coordinator=Gamma(),
        images=drawn.noisy,
        truth=drawn.truth,
        feedback=Feedback.PROBABILITIES,
        loss=CrossEntropy(),
        ask=Brightness().ask,
        names=(bytes([each]) for each in range(9)),
    )
    LEARNER.step(step_context(batch, Gamma().initial_parameters(), memory, 2))
    assert all(torch.equal(memory[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize("changed", [{"fit_steps": 0}, {"warm_up_steps": -1}, {"replay_capacity": 0}], ids=str)
def test_rounds_in_which_nothing_is_learnt_are_refused(changed: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        Distillation(**changed)  # type: ignore[arg-type]
