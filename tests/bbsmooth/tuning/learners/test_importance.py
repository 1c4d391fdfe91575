from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
import torch
from torch import Tensor

from bbsmooth.noise import Gaussian, Grid
from bbsmooth.randomness import fork
from bbsmooth.tuning import BatchObjective, Importance, Mistakes, NoisyImages, StepContext, StepResult
from oracles import Answers, Feedback
from tests.bbsmooth.tuning.test_objective import Shift

LEVELS = torch.tensor([0, 60, 120, 128, 140, 255])
DATA = NoisyImages(
    images=LEVELS.view(-1, 1, 1, 1).to(torch.uint8),
    labels=torch.ones(6, dtype=torch.int64),
    noise=Gaussian(1e-6),
    grid=Grid(1),
    seed=0,
    purpose="test",
)
NOTHING: Any = None
SIZE = 10


class Reading:
    """Asks about the batch once, and notes its mean loss."""

    evaluations = 1

    def initial_memory(self, parameters: Tensor) -> dict[str, Tensor]:
        return {"inner": torch.zeros(())}

    def step(self, context: StepContext) -> StepResult:
        assert set(context.memory) == {"inner"}
        loss = float(context.batch.losses_at(context.batch.images).double().mean())
        return StepResult(context.parameters, context.memory, {"loss": loss})


def brightness(images: Tensor, name: bytes) -> Answers:
    bright = images.flatten(1).mean(1)
    return Answers((bright > 0.5).long(), torch.stack([1 - bright, bright], 1))


def step_context(memory: Any, step: int, ask: Callable[[Tensor, bytes], Answers] = brightness) -> StepContext:
    batch = BatchObjective(
        coordinator=Shift(),
        images=torch.zeros(SIZE, 1, 1, 1),
        truth=torch.ones(SIZE, dtype=torch.int64),
        feedback=Feedback.PROBABILITIES,
        loss=Mistakes(),
        ask=ask,
        names=(str(number).encode() for number in count()),
    )
    return StepContext(
        batch=batch, parameters=torch.zeros(1), memory=memory, step=step, data=DATA, generator=fork(step)
    )


@pytest.mark.parametrize("floor", [0.2, 0.5, 1.0])
def test_the_loss_is_on_average_that_of_all_images(floor: float) -> None:
    learner = Importance(learner=Reading(), floor=floor)
    memory, losses = learner.initial_memory(torch.zeros(1)), []
    for step in range(1, 601):
        _, memory, notes = learner.step(step_context(memory, step))
        losses.append(notes["loss"])
    found = torch.tensor(losses[10:], dtype=torch.float64)  # by then every image has been asked about
    expected = float((1 - LEVELS / 255).mean())
    assert abs(float(found.mean()) - expected) < 4 * float(found.std()) / len(found) ** 0.5


def test_undecided_images_are_drawn_more_often() -> None:
    probabilities = Importance(learner=Reading(), floor=0.2).probabilities(LEVELS / 255)
    assert float(probabilities.sum()) == pytest.approx(1)
    assert probabilities.argmax() == 3
    assert probabilities.tolist()[0] == pytest.approx(0.2 / 6)  # decided for good
    assert probabilities[2] > 3 * probabilities[5]


def test_images_not_asked_about_have_the_mean_of_the_others() -> None:
    votes = torch.tensor([0.5, 0.0, torch.nan, torch.nan])
    probabilities = Importance(learner=Reading(), floor=0.1).probabilities(votes)
    assert probabilities.tolist() == pytest.approx([0.475, 0.025, 0.25, 0.25])
    unknown = torch.full((4,), torch.nan)
    assert Importance(learner=Reading()).probabilities(unknown).tolist() == pytest.approx([0.25] * 4)


def test_images_that_are_all_decided_are_drawn_alike() -> None:
    probabilities = Importance(learner=Reading()).probabilities(torch.tensor([0.0, 1.0, 1.0, 0.0]))
    assert probabilities.tolist() == pytest.approx([0.25] * 4)


def test_an_image_drawn_twice_is_shown_under_two_draws() -> None:
    asked: list[Tensor] = []

    def ask(images: Tensor, name: bytes) -> Answers:
        asked.append(images)
        return brightness(images, name)

    noisy = NoisyImages(
        images=DATA.images[3:4], labels=DATA.labels[:1], noise=Gaussian(0.1), grid=Grid(1), seed=0, purpose="test"
    )
    context = step_context({"inner": torch.zeros(())}, 1, ask)
    Importance(learner=Reading()).step(
        StepContext(
            batch=context.batch,
            parameters=context.parameters,
            memory=context.memory,
            step=1,
            data=noisy,
            generator=fork(1),
        )
    )
    assert len(set(asked[0].flatten().tolist())) == SIZE


@pytest.mark.parametrize("floor", [0.0, 1.1, float("nan")])
def test_images_that_could_never_be_drawn_are_refused(floor: float) -> None:
    with pytest.raises(ValueError, match=r"\(0, 1\]"):
        Importance(learner=NOTHING, floor=floor)
