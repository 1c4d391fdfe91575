"""Plan of a tuning, and how a budget is divided before the first query."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

from bbsmooth.tuning.certified_share import RadiusJudge
from bbsmooth.tuning.learners.protocol import Learner
from bbsmooth.tuning.losses.certified_share import CertifiedShare
from bbsmooth.tuning.losses.losses import CrossEntropy, Loss

_GROUPS = 10
"""Most parts of a batch that are probed in directions of their own; an image must not be cut in two by them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TunePlan:
    """Settings of a tuning run.

    Args:
        learner: what a step does with its answers.
        loss: of one answer.
        batch_size: images a step; fewer images come several times, each time under noise of their own.
        averaging: memory of the running mean of the parameters, which is what is validated and kept; 0 keeps the
            last ones.
        heldout_share: of the images, kept for validation; no step is computed from them.
        validation_fraction: of the queries, spent on validation, at most; with a `judge` and one evaluation, at least.
        evaluations: how often parameters are validated, the start and the end included. With 1 both are judged at the
            end, by the same answers: for parameters that only change how answers are read.
        margin: standard errors by which a candidate must beat the best so far.
        judge: decides by the certified share at a radius instead, None for the mean probability of the true class.
        fewest_steps: that few images are not repeated below.
        test_share: of the queries, with a `judge`: for start or candidate at the end.

    Raises:
        ValueError: a number out of its range.
    """

    learner: Learner
    loss: Loss = CrossEntropy()  # noqa: RUF009 - frozen
    batch_size: int = 100
    averaging: float = 0.9
    heldout_share: float = 0.2
    validation_fraction: float = 0.15
    evaluations: int = 3
    margin: float = 1.0
    judge: RadiusJudge | None = field(default=None, repr=False)
    fewest_steps: int = field(default=20, repr=False)
    test_share: float = field(default=0.12, repr=False)

    def __post_init__(self) -> None:
        """Refuse what cannot be carried out."""
        if self.batch_size < 1 or self.evaluations < 1 or not self.margin >= 0 or not 0 <= self.averaging < 1:
            raise ValueError(
                "a plan needs a batch size of at least 1, an evaluation, a margin not below 0 and an averaging"
                f" in [0, 1), got {self}"
            )
        if not (0 < self.heldout_share < 1 and 0 < self.validation_fraction < 1):
            raise ValueError(f"shares of images and queries must lie between 0 and 1, got {self}")

    @property
    def judges_once(self) -> bool:
        """Whether the same answers judge start and end."""
        return self.evaluations == 1

    @property
    def draws_per_image(self) -> int:
        """Draws of each image of a step, side by side: 1 but for losses of an image instead of a draw."""
        return self.loss.draws if isinstance(self.loss, CertifiedShare) else 1

    def images_per_step(self, num_images: int) -> int:
        """Images of a step, of `num_images`: as many as a batch holds, whole groups of them where draws go together.

        Raises:
            ValueError: too few for that.
        """
        if self.draws_per_image == 1:
            return min(self.batch_size, num_images)
        images = min(self.batch_size // self.draws_per_image, num_images) // _GROUPS * _GROUPS
        if images == 0:
            raise ValueError(
                f"a loss of {self.draws_per_image} draws an image needs {_GROUPS} images to compute steps from, got"
                f" {num_images}"
            )
        return images

    def num_heldout(self, num_images: int) -> int:
        """Number of images, of `num_images`, that are kept for validation: at least one, and not all."""
        return min(max(1, round(self.heldout_share * num_images)), num_images - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSchedule:
    """A budget, divided.

    Attributes:
        num_steps: steps in all.
        repeats: times that a step asks about each of its images, where there are fewer than a batch holds.
        step_queries: of each step.
        num_draws: held-out draws, so queries, of each evaluation.
        validated_after: step numbers after which parameters are validated: 0 is the start, the last is `num_steps`,
            which is alone where the same answers judge both.
    """

    num_steps: int
    repeats: int
    step_queries: int
    num_draws: int
    validated_after: tuple[int, ...]

    @property
    def queries(self) -> int:
        """Everything together."""
        return self.num_steps * self.step_queries + len(self.validated_after) * self.num_draws

    @classmethod
    def within(cls, queries: int, plan: TunePlan, *, num_images: int) -> BudgetSchedule:
        """As many steps as fit beside the evaluations; few images are repeated as long as that leaves enough steps.

        Args:
            queries: that may be spent in all.
            plan: what to spend them on.
            num_images: that steps are computed from.

        Raises:
            ValueError: not one step fits.
        """
        repeats, step_queries = step_size(queries, plan, num_images)
        num_draws, num_steps = _divide(queries, plan, step_queries)
        if num_steps < 1:
            least = next(number for number in count(queries) if _divide(number, plan, step_queries)[1] >= 1)
            raise ValueError(
                f"tuning needs at least {least} queries for one step of {step_queries} and its validation, got"
                f" {queries}; raise the budget or lower the batch size"
            )
        parts = plan.evaluations - 1
        places = {round(num_steps * part / parts) for part in range(parts + 1)} if parts else {num_steps}
        validated_after = tuple(sorted(places))
        return cls(
            num_steps=num_steps,
            repeats=repeats,
            step_queries=step_queries,
            num_draws=num_draws,
            validated_after=validated_after,
        )


def step_size(queries: int, plan: TunePlan, num_images: int) -> tuple[int, int]:
    """Times that a step asks about each image, where there are fewer than a batch holds, and the queries of a step."""
    draws = plan.draws_per_image * plan.images_per_step(num_images)
    once = plan.learner.evaluations * draws
    repeats = max(1, min(plan.batch_size // draws, queries // (plan.fewest_steps * once)))
    return repeats, repeats * once


def _divide(queries: int, plan: TunePlan, step_queries: int) -> tuple[int, int]:
    """Held-out draws of each evaluation, and number of steps, that `queries` allow."""
    num_draws = max(1, int(queries * plan.validation_fraction) // plan.evaluations)
    return num_draws, (queries - plan.evaluations * num_draws) // step_queries
