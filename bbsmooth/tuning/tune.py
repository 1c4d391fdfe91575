"""Zeroth-order tuning: the loop of questions, steps and validations, within a budget fixed before the first query."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import count

import torch
from torch import Tensor

from bbsmooth.coordinator import Coordinator, ScoreScaled
from bbsmooth.noise import Grid, NoiseDistribution
from bbsmooth.randomness import fork, name_digest
from bbsmooth.tuning.checkpoint import TuneState
from bbsmooth.tuning.executor import Ask, QueryExecutor, one_by_one
from bbsmooth.tuning.heldout import Validation
from bbsmooth.tuning.judging import Judging, MeritJudging, RadiusJudging
from bbsmooth.tuning.learners.protocol import StepContext
from bbsmooth.tuning.noisy import NoisyImages
from bbsmooth.tuning.objective import BatchObjective
from bbsmooth.tuning.plan import BudgetSchedule, TunePlan
from bbsmooth.tuning.radius_schedule import RadiusSchedule
from oracles import Feedback
from oracles.pixels import require_images

Event = dict[str, int | float]
"""One line of history. Always step and queries (so far); after a step loss and what else its learner notes; after a
validation heldout_accuracy, heldout_merit (mean probability of the true class) and best_step; where a radius decides,
heldout_certified, and after the test heldout_certified_start. Where the same answers judge the start, also
heldout_accuracy_start and heldout_certified_start."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TuneResult:
    """Result of tuning.

    Attributes:
        parameters: (P,) the best on the held-out draws; those of the start where nothing beat them.
        best_step: after which they were validated; 0 for the start.
        num_steps: done in all.
        queries: asked in all.
        heldout_draws: that each accuracy below was measured on.
        start_accuracy: held-out noisy accuracy of the start.
        best_accuracy: held-out noisy accuracy of `parameters`; never below `start_accuracy` unless a radius decided.
        judged: where a radius decided, what is known of certified shares, see `TuneState`.
    """

    parameters: Tensor
    best_step: int
    num_steps: int
    queries: int
    heldout_draws: int
    start_accuracy: float
    best_accuracy: float
    judged: Mapping[str, float]


def tune(
    coordinator: Coordinator,
    images: Tensor,
    labels: Tensor,
    *,
    noise: NoiseDistribution,
    grid: Grid,
    plan: TunePlan,
    queries: int,
    seed: int,
    feedback: Feedback,
    ask: Ask,
    executor: QueryExecutor = one_by_one,
    resume: bytes | None = None,
    history: Callable[[Event], None] = lambda event: None,
    checkpoint: Callable[[bytes], None] = lambda raw: None,
) -> TuneResult:
    """Tune a coordinator's parameters on nothing but an oracle's answers.

    The questions and their names follow from the arguments and the answers alone. So a run that was killed and resumes
    from any checkpoint, or from none, asks the same questions again from there, and ends with the same parameters.

    Args:
        coordinator: what is tuned.
        images: (N, C, H, W) uint8, clean; of the training split.
        labels: (N,) int64, numbers of the oracle's classes.
        noise: under which the oracle shall do well.
        grid: on which it is added.
        plan: how.
        queries: images that may be asked about in all, validation included; never exceeded.
        seed: of the split, batches, noise and directions.
        feedback: what the oracle's answers hold.
        ask: reaches the oracle. Its answers must not depend on anything but the question.
        executor: in which order questions are asked that do not depend on each other; changes no result.
        resume: what `checkpoint` was last called with.
        history: called for the start, and after each step.
        checkpoint: called with the state after each step, before `history`; safetensors bytes.

    Returns:
        The best parameters, and what they cost.

    Raises:
        ShapeError: images that are not uint8 (N, C, H, W).
        ValueError: images and labels do not fit, not one step fits the budget, `resume` is of another run, or the plan
            judges once and the parameters change what is shown.
        Exception: whatever `ask` raises; nothing is lost, see `resume`.
    """
    require_images(images)
    if len(images) != len(labels) or len(images) < 2:
        raise ValueError(f"tuning needs at least 2 images and a label for each, got {len(images)} and {len(labels)}")
    if plan.judges_once and not isinstance(coordinator, ScoreScaled):
        raise ValueError("one evaluation judges start and end only where parameters change how answers are read")
    training, heldout = _split(images, labels, plan=plan, noise=noise, grid=grid, seed=seed)
    schedule = schedule_of(queries, plan, num_images=len(training), num_heldout=len(heldout))

    def scoring(data: NoisyImages, num_draws: int) -> Validation:
        return Validation(
            coordinator=coordinator,
            data=data,
            num_draws=num_draws,
            feedback=feedback,
            ask=ask,
            executor=executor,
            once=plan.judges_once,
        )

    run = _Run(
        coordinator=coordinator,
        plan=plan,
        schedule=schedule,
        training=training,
        validation=scoring(heldout, schedule.num_draws),
        judging=_judging(coordinator, plan, schedule, heldout, scoring),
    )
    identity = run.identity()
    state = run.initial_state() if resume is None else TuneState.from_bytes(resume, identity=identity)
    while state.evaluations < len(schedule.validated_after) and not state.stopped:
        state, event = run.validate_or_step(state)
        checkpoint(state.to_bytes(identity=identity))
        history(event)
    return run.result(state)


def schedule_of(queries: int, plan: TunePlan, *, num_images: int, num_heldout: int) -> BudgetSchedule | RadiusSchedule:
    """How a budget is divided, see `BudgetSchedule` and `RadiusSchedule`.

    Raises:
        ValueError: it is too small, or there are too few images.
    """
    if plan.judge is None:
        return BudgetSchedule.within(queries, plan, num_images=num_images)
    return RadiusSchedule.within(queries, plan, plan.judge, num_images=num_images, num_heldout=num_heldout)


def _judging(
    coordinator: Coordinator,
    plan: TunePlan,
    schedule: BudgetSchedule | RadiusSchedule,
    heldout: NoisyImages,
    scoring: Callable[[NoisyImages, int], Validation],
) -> Judging:
    """Who judges: the first held-out images take the first look, the last ones the test, on other noise."""
    if plan.judge is None or isinstance(schedule, BudgetSchedule):
        return MeritJudging(validation=scoring(heldout, schedule.num_draws), margin=plan.margin)
    last = len(heldout)
    test = scoring(heldout.part(last - schedule.test_images, last), schedule.num_draws)
    return RadiusJudging(
        judge_of=plan.judge,
        look=scoring(heldout.part(0, schedule.look_images), schedule.look_images * schedule.look_draws),
        test=replace(test, first=schedule.look_draws),
        schedule=schedule,
        start=coordinator.initial_parameters(),
    )


def _split(
    images: Tensor, labels: Tensor, *, plan: TunePlan, noise: NoiseDistribution, grid: Grid, seed: int
) -> tuple[NoisyImages, NoisyImages]:
    """Images to compute steps from, and held-out ones; which ones depends on the seed only."""
    order = torch.randperm(len(images), generator=fork(seed, "tune", "split"))
    num_heldout = plan.num_heldout(len(images))

    def part(chosen: Tensor, purpose: str) -> NoisyImages:
        return NoisyImages(
            images=images[chosen], labels=labels[chosen], noise=noise, grid=grid, seed=seed, purpose=purpose
        )

    return part(order[num_heldout:], "tune"), part(order[:num_heldout], "heldout")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Run:
    """Parts of a run that stay the same from step to step."""

    coordinator: Coordinator
    plan: TunePlan
    schedule: BudgetSchedule | RadiusSchedule
    training: NoisyImages
    validation: Validation
    judging: Judging

    def identity(self) -> str:
        """Digest of all that decides which questions are asked."""
        digest = hashlib.sha256(self.coordinator.fingerprint.encode())
        noise = self.training.noise
        mechanism = (self.training.grid.algorithm, noise.name, noise.sigma, self.training.grid)
        digest.update(
            repr((self.plan, self.schedule, self.training.seed, self.validation.feedback, mechanism)).encode()
        )
        if self.plan.judge is not None:
            digest.update(repr(self.plan.judge).encode())
        for data in (self.training, self.validation.data):
            digest.update(data.digest())
        return digest.hexdigest()

    def initial_state(self) -> TuneState:
        """Before the first query."""
        start = self.coordinator.initial_parameters()
        return TuneState(
            step=0,
            queries=0,
            evaluations=0,
            parameters=start,
            average=start,
            memory=self.plan.learner.initial_memory(start),
            best=start,
            best_step=0,
            best_score=None,
            start=None,
        )

    def result(self, state: TuneState) -> TuneResult:
        """Result at the end, after at least one validation."""
        assert state.start is not None
        assert state.best_score is not None
        return TuneResult(
            parameters=state.best,
            best_step=state.best_step,
            num_steps=state.step,
            queries=state.queries,
            heldout_draws=self.schedule.num_draws,
            start_accuracy=state.start.accuracy,
            best_accuracy=state.best_score.accuracy,
            judged=state.judged,
        )

    def validate_or_step(self, state: TuneState) -> tuple[TuneState, Event]:
        """Validate where the schedule says so, else take a step."""
        due = self.schedule.validated_after[state.evaluations] == state.step
        if not due:
            return self._step(state)
        judged, facts = self.judging.judge(state)
        return judged, dict(facts)

    def _step(self, state: TuneState) -> tuple[TuneState, Event]:
        """Let the learner ask about fresh images and noise, and move."""
        step = state.step + 1
        result = self.plan.learner.step(
            StepContext(
                batch=self._objective(step),
                parameters=state.parameters,
                memory=state.memory,
                step=step,
                data=self.training,
                generator=fork(self.training.seed, "tune", "directions", step),
            )
        )
        moved = replace(
            state,
            step=step,
            queries=state.queries + self.schedule.step_queries,
            parameters=result.parameters,
            average=torch.lerp(result.parameters, state.average, self.plan.averaging),
            memory=result.memory,
        )
        return moved, {"step": step, "queries": moved.queries, **result.notes}

    def _objective(self, step: int) -> BatchObjective:
        """The loss on the images of one step: each image once an epoch, each time under noise of its own."""
        data, repeats, each = self.training, self.schedule.repeats, self.plan.draws_per_image
        size = self.plan.images_per_step(len(data))
        epoch, place = divmod(step - 1, len(data) // size)
        order = torch.randperm(len(data), generator=fork(data.seed, "tune", "order", epoch))
        indices = [index for index in order[place * size :][:size].tolist() for _ in range(each)] * repeats
        draws = [
            ((step - 1) * repeats + repeat) * each + number + 1
            for repeat in range(repeats)
            for _ in range(size)
            for number in range(each)
        ]
        return BatchObjective(
            coordinator=self.coordinator,
            images=data.draw(indices, draws),
            truth=data.labels[indices],
            feedback=self.validation.feedback,
            loss=self.plan.loss,
            ask=self.validation.ask,
            executor=self.validation.executor,
            names=(name_digest(data.seed, "tune", "step", step, number) for number in count()),
        )
