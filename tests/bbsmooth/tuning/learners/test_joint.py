"""What is shown and how answers are read, learnt from the same answers: a plane that leans, seen through a shift."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count

import torch
from torch import Tensor

from bbsmooth.coordinator import ScalingKind, ScoreScaled, ScoreScaling, show
from bbsmooth.noise import Gaussian, Grid
from bbsmooth.randomness import fork
from bbsmooth.tuning.estimators.directions import Leading, Rademacher
from bbsmooth.tuning.estimators.grouped import GroupedSpsa
from bbsmooth.tuning.learners.descent import Descent
from bbsmooth.tuning.learners.joint import JointFit
from bbsmooth.tuning.learners.protocol import StepContext
from bbsmooth.tuning.losses.losses import CrossEntropy
from bbsmooth.tuning.noisy import NoisyImages
from bbsmooth.tuning.objective import BatchObjective
from bbsmooth.tuning.rules.gains import Gains
from bbsmooth.tuning.rules.steps import Adam
from oracles import Answers, Feedback

SIDE, LEAN = 4, 2.0


@dataclass(frozen=True)
class Contrast:
    """Tunes contrast around middle grey, in the first of two parameters; the second does nothing."""

    image_shape: tuple[int, int, int] = (1, SIDE, SIDE)
    sigma: float = 0.1
    fingerprint: str = "00"

    def initial_parameters(self) -> Tensor:
        return torch.zeros(2)

    def propose(self, images: Tensor, parameters: Tensor) -> Tensor:
        return 0.5 + (1 + parameters[0]) * (images - 0.5)

    def render(self, proposed: Tensor) -> Tensor:
        return proposed


def leaning(images: Tensor, name: bytes) -> Answers:
    """The mean grey as a logit of class 1, and a lean to class 0; what is shown with more contrast is told better."""
    distance = 4 * (images.mean((1, 2, 3)) - 0.5)
    scores = torch.stack([LEAN - distance, distance], 1).double()
    return Answers(scores.argmax(1), scores)


def coordinator() -> ScoreScaled:
    return ScoreScaled(
        front=Contrast(),  # type: ignore[arg-type]
        shown_with=torch.zeros(2),
        scaling=ScoreScaling(ScalingKind.VECTOR, 2),
        names=("0", "1"),
        joint=True,
    )


def data() -> NoisyImages:
    labels = torch.arange(200) % 2
    images = (100 + 56 * labels).view(-1, 1, 1, 1).expand(-1, 1, SIDE, SIDE).to(torch.uint8).contiguous()
    noise = Gaussian(0.1)
    grid = Grid.fitting(noise, eight_bit=False)
    return NoisyImages(images=images, labels=labels, noise=noise, grid=grid, seed=0, purpose="tune")


def descent() -> Descent:
    gains = Gains(learning_rate=0.1, probe_radius=0.2, learning_decay=0.0, probe_decay=0.0, stability=0.0)
    return Descent(estimator=GroupedSpsa(directions=Leading(Rademacher(), 2), num_groups=5), rule=Adam(), gains=gains)


def context(parameters: Tensor, step: int, memory: dict[str, Tensor]) -> StepContext:
    images, indices = data(), list(range(100))
    batch = BatchObjective(
        coordinator=coordinator(),
        images=images.draw(indices, [step] * 100),
        truth=images.labels[:100],
        feedback=Feedback.LOGITS,
        loss=CrossEntropy(),
        ask=leaning,
        names=(str(number).encode() for number in count()),
    )
    return StepContext(
        batch=batch, parameters=parameters, memory=memory, step=step, data=images, generator=fork(0, "step", step)
    )


def log_likelihood(parameters: Tensor) -> float:
    """Of the truth, on images and noise of its own."""
    images, tuned = data(), coordinator()
    noisy = images.draw(list(range(200)), [10_000] * 200)
    told = tuned.read(leaning(show(tuned, noisy, parameters), b""), Feedback.LOGITS, parameters)
    assert told.scores is not None
    return float(told.scores.gather(1, images.labels[:, None]).log().mean())


def test_contrast_and_lean_are_both_found() -> None:
    learner, tuned = JointFit(descent=descent(), remembered=1_000), coordinator()
    parameters = tuned.initial_parameters()
    memory = dict(learner.initial_memory(parameters))
    start = log_likelihood(parameters)
    for step in range(1, 31):
        result = learner.step(context(parameters, step, memory))
        parameters, memory = result.parameters, dict(result.memory)
    contrast, of_map = tuned.parts(parameters)
    assert float(contrast[0]) > 0.5
    assert float(of_map[-1] - of_map[-2]) > 1.0  # b leans back
    alone = torch.cat([torch.zeros(2), of_map])
    assert log_likelihood(parameters) > log_likelihood(alone) + 0.02 > start + 0.3
    assert memory["joint.scores"].shape == (1_000, 2)
    assert learner.evaluations == 2


def test_the_first_step_is_the_descents_and_the_map_knows_of_all_its_answers() -> None:
    learner, tuned = JointFit(descent=descent()), coordinator()
    parameters = tuned.initial_parameters()
    memory = dict(learner.initial_memory(parameters))
    joint = learner.step(context(parameters, 1, memory))
    alone = descent().step(context(parameters, 1, dict(descent().initial_memory(parameters))))
    assert torch.allclose(joint.parameters[:2], alone.parameters[:2], atol=1e-5)
    assert joint.memory["joint.truth"].tolist() == 2 * data().labels[:100].tolist()


def test_what_was_tuned_together_is_a_plain_map_behind_a_front() -> None:
    tuned = coordinator()
    parameters = torch.tensor([0.5, 0.0, 0.1, -0.2, 0.3, -0.4])
    plain, of_map = tuned.settled(parameters)
    assert not plain.joint
    assert torch.equal(of_map, parameters[2:])
    noisy = data().draw([0, 1], [0, 0])
    assert torch.equal(show(plain, noisy, of_map), show(tuned, noisy, parameters))
    answers = leaning(noisy, b"")
    both = [each.read(answers, Feedback.LOGITS, own).scores for each, own in ((plain, of_map), (tuned, parameters))]
    assert both[0] is not None
    assert both[1] is not None
    assert torch.equal(*both)  # type: ignore[arg-type]
    again, same = plain.settled(of_map)
    assert (again.fingerprint, again.joint) == (plain.fingerprint, False)
    assert torch.equal(same, of_map)
    assert tuned.fingerprint != replace(tuned, joint=False).fingerprint
