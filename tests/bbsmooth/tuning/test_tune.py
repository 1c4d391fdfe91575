from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace

import pytest
import torch
from torch import Tensor

from bbsmooth.noise import Gaussian, Grid
from bbsmooth.tuning import (
    Adam,
    CorrectedDescent,
    Cosines,
    Descent,
    Distillation,
    Event,
    Gains,
    GradientEstimator,
    Importance,
    OutputDifferences,
    Rademacher,
    RandomDirections,
    SegmentedUniform,
    Sgd,
    Spsa,
    SpsaGc,
    StepRule,
    SurrogateDescent,
    SurrogateLearner,
    TrustRegion,
    TunePlan,
    TuneResult,
    tune,
)
from oracles import Answers, Feedback


class Gamma:
    """Scales and shifts the pixels; pre-trained wrongly, far too dark."""

    image_shape = (1, 4, 4)
    sigma = 0.3
    fingerprint = "11" * 32

    def on(self, device: torch.device) -> Gamma:
        return self

    def initial_parameters(self) -> Tensor:
        return torch.tensor([-0.3, 0.0, 0.0])

    def propose(self, images: Tensor, parameters: Tensor) -> Tensor:
        return images * (1 + parameters[1]) + parameters[0] + 0.0 * parameters[2]

    def render(self, proposed: Tensor) -> Tensor:
        return proposed.clamp(0, 1)


@dataclass
class Brightness:
    """Answers how sure it is that an image is brighter than 1/2; counts and remembers answers by name."""

    queries: int = 0
    record: dict[bytes, Answers] = field(default_factory=dict)
    dies_at: int | None = None
    asked: list[bytes] = field(default_factory=list)

    def ask(self, images: Tensor, name: bytes) -> Answers:
        assert images.min() >= 0
        assert images.max() <= 1
        self.asked.append(name)
        if name not in self.record:
            if self.dies_at == self.queries:
                raise KeyboardInterrupt
            self.queries += len(images)
            bright = torch.sigmoid(20 * (images.flatten(1).mean(1) - 0.5))
            self.record[name] = Answers((bright > 0.5).long(), torch.stack([1 - bright, bright], 1))
        return self.record[name]


BRIGHT = torch.arange(60) % 2
IMAGES = (80 + 95 * BRIGHT).view(-1, 1, 1, 1).expand(60, 1, 4, 4).to(torch.uint8)
GAINS = Gains(learning_rate=0.02, probe_radius=0.05, learning_decay=0.2, probe_decay=0.1, stability=0.0)
SPSA = Spsa(directions=Rademacher(), num_directions=1)


def descent(estimator: GradientEstimator = SPSA, *, rule: StepRule, gains: Gains = GAINS) -> Descent:
    return Descent(estimator=estimator, rule=rule, gains=gains)


OUTPUTS = OutputDifferences(basis=Cosines(2), directions=RandomDirections(), num_directions=1)
DISTILLATION = Distillation(widths=(4,), warm_up_steps=5, fit_steps=10)
RARELY_TAUGHT = replace(DISTILLATION, fit_steps=2)
PLAN = TunePlan(
    learner=descent(rule=SpsaGc(momentum=0.8)),
    batch_size=10,
    averaging=0.5,
    evaluations=4,
)
PLANS = [
    PLAN,
    replace(PLAN, learner=descent(rule=Sgd()), averaging=0.0),
    replace(PLAN, learner=descent(Spsa(directions=SegmentedUniform(), num_directions=2), rule=Adam())),
    replace(PLAN, learner=descent(OUTPUTS, rule=Adam())),
    replace(
        PLAN,
        learner=SurrogateLearner(
            distillation=DISTILLATION, descent=SurrogateDescent(steps=5, learning_rate=0.05, anchor=0.0)
        ),
    ),
    replace(PLAN, learner=CorrectedDescent(estimator=SPSA, rule=Adam(), gains=GAINS, distillation=RARELY_TAUGHT)),
    replace(PLAN, learner=Importance(learner=descent(rule=Adam()))),
    replace(PLAN, learner=TrustRegion(estimator=SPSA, radius=0.1, probe_radius=0.05)),
]
NAMES = ["spsa-gc", "sgd", "adam", "outputs", "surrogate", "corrected", "importance", "trust"]


def run(
    oracle: Brightness,
    *,
    plan: TunePlan = PLAN,
    queries: int = 1_000,
    seed: int = 3,
    feedback: Feedback = Feedback.PROBABILITIES,
    resume: bytes | None = None,
    history: Callable[[Event], None] = lambda event: None,
    checkpoint: Callable[[bytes], None] = lambda raw: None,
) -> TuneResult:
    return tune(
        Gamma(),
        IMAGES,
        BRIGHT,
        noise=Gaussian(0.3),
        grid=Grid(1),
        plan=plan,
        queries=queries,
        seed=seed,
        feedback=feedback,
        ask=oracle.ask,
        resume=resume,
        history=history,
        checkpoint=checkpoint,
    )


@pytest.mark.parametrize("plan", PLANS, ids=NAMES)
def test_tuning_finds_what_the_oracle_wants(plan: TunePlan) -> None:
    result = run(Brightness(), plan=plan, queries=3_000, seed=2)
    assert result.start_accuracy < 0.6
    assert result.best_accuracy > 0.95
    assert result.best_step > 0


def test_labels_alone_are_enough() -> None:
    learner = descent(rule=SpsaGc(momentum=0.8), gains=replace(GAINS, probe_radius=0.1))
    plan = replace(PLAN, learner=learner, batch_size=40)
    result = run(Brightness(), plan=plan, queries=8_000, feedback=Feedback.LABELS)
    assert result.best_accuracy > 0.9 > result.start_accuracy


@pytest.mark.parametrize("queries", [100, 333, 1_000])
@pytest.mark.parametrize("plan", PLANS, ids=NAMES)
def test_every_query_is_counted_and_none_exceeds_the_budget(plan: TunePlan, queries: int) -> None:
    oracle = Brightness()
    told: list[Event] = []
    result = run(oracle, plan=plan, queries=queries, history=told.append)
    assert oracle.queries == result.queries == told[-1]["queries"] <= queries
    assert len(set(oracle.asked)) == len(oracle.asked)


def test_history_tells_of_the_start_of_every_step_and_of_every_validation() -> None:
    told: list[Event] = []
    result = run(Brightness(), history=told.append)
    validated = [event for event in told if "heldout_accuracy" in event]
    steps = [event for event in told if "loss" in event]
    assert [event["step"] for event in steps] == list(range(1, result.num_steps + 1))
    assert next(event["step"] for event in validated) == 0
    assert validated[-1]["step"] == result.num_steps
    assert validated[0]["heldout_accuracy"] == result.start_accuracy
    assert steps[4]["learning_rate"] == pytest.approx(GAINS.learning_rate_at(5))
    assert steps[4]["probe_radius"] == pytest.approx(GAINS.probe_radius_at(5))
    assert all(math.isfinite(value) for event in told for value in event.values())


def test_steps_that_only_harm_leave_the_start() -> None:
    harmful = replace(PLAN, learner=descent(rule=Sgd(), gains=replace(GAINS, learning_rate=1e3)))
    result = run(Brightness(), plan=harmful)
    assert result.best_step == 0
    assert torch.equal(result.parameters, Gamma().initial_parameters())
    assert result.best_accuracy == result.start_accuracy


@pytest.mark.parametrize("plan", PLANS, ids=NAMES)
def test_a_run_resumes_exactly_from_every_checkpoint(plan: TunePlan) -> None:
    checkpoints: list[bytes] = []
    whole = Brightness()
    expected = run(whole, plan=plan, checkpoint=checkpoints.append)
    for raw in checkpoints[:: max(1, len(checkpoints) // 5)]:
        again = run(Brightness(), plan=plan, resume=raw)
        assert torch.equal(again.parameters, expected.parameters)
        assert numbers_of(again) == numbers_of(expected)


def numbers_of(result: TuneResult) -> list[float]:
    return [value for value in asdict(result).values() if not isinstance(value, Tensor)]


def survives(plan: TunePlan, dies_at: int, *, keeps_checkpoints: bool) -> tuple[TuneResult, Brightness]:
    """Run until the oracle has answered `dies_at` queries, then resume with the record that is left."""
    checkpoints: list[bytes] = []
    oracle = Brightness(dies_at=dies_at)
    with pytest.raises(KeyboardInterrupt):
        run(oracle, plan=plan, checkpoint=checkpoints.append)
    oracle.dies_at = None
    resume = checkpoints[-1] if checkpoints and keeps_checkpoints else None
    return run(oracle, plan=plan, resume=resume), oracle


@pytest.mark.parametrize("keeps_checkpoints", [True, False])
@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(PLANS[0], id=NAMES[0]),
        pytest.param(PLANS[3], id=NAMES[3]),
        pytest.param(PLANS[4], id=NAMES[4], marks=pytest.mark.slow),
    ],
)
def test_killed_between_answers_a_run_ends_the_same_and_pays_for_nothing_twice(
    plan: TunePlan, keeps_checkpoints: bool
) -> None:
    sizes = [0]
    undisturbed = Brightness()
    expected = run(undisturbed, plan=plan)
    for name in undisturbed.asked[:-1]:
        sizes.append(sizes[-1] + len(undisturbed.record[name]))
    for dies_at in sizes[:: 17 if keeps_checkpoints else 29]:
        result, oracle = survives(plan, dies_at, keeps_checkpoints=keeps_checkpoints)
        assert torch.equal(result.parameters, expected.parameters)
        assert result.queries == expected.queries == oracle.queries
        assert oracle.record.keys() == undisturbed.record.keys()


def test_few_images_are_asked_about_several_times_a_step_under_other_noise() -> None:
    bright = IMAGES[1:8:2] + torch.arange(4, dtype=torch.uint8).view(-1, 1, 1, 1)
    shown: list[Tensor] = []

    def ask(images: Tensor, name: bytes) -> Answers:
        shown.append(images)
        return Brightness().ask(images, name)

    result = tune(
        Gamma(),
        bright,
        BRIGHT[1:8:2],
        noise=Gaussian(0.1),
        grid=Grid(1),
        plan=PLAN,
        queries=1_000,
        seed=0,
        feedback=Feedback.PROBABILITIES,
        ask=ask,
    )
    step = shown[1]  # the first question is the validation's
    assert len(step) == 9
    assert len({image.numpy().tobytes() for image in step}) == 9
    assert result.queries <= 1_000


def test_seeds_ask_other_questions() -> None:
    one, other = Brightness(), Brightness()
    run(one, seed=1)
    run(other, seed=2)
    assert not one.record.keys() & other.record.keys()


def test_a_checkpoint_of_another_run_is_refused() -> None:
    checkpoints: list[bytes] = []
    run(Brightness(), checkpoint=checkpoints.append)
    with pytest.raises(ValueError, match="other data, settings, seed or budget"):
        run(Brightness(), seed=4, resume=checkpoints[0])
    with pytest.raises(ValueError, match="cannot be resumed from"):
        run(Brightness(), resume=checkpoints[0][:50])


def test_a_budget_too_small_is_refused_before_any_query() -> None:
    oracle = Brightness()
    with pytest.raises(ValueError, match="needs at least"):
        run(oracle, queries=10)
    assert oracle.queries == 0


def test_images_without_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="a label for each"):
        tune(
            Gamma(),
            IMAGES,
            BRIGHT[1:],
            noise=Gaussian(0.3),
            grid=Grid(1),
            plan=PLAN,
            queries=1_000,
            seed=0,
            feedback=Feedback.LABELS,
            ask=Brightness().ask,
        )
