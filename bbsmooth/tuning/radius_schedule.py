"""A budget, divided where certified shares decide: a first look early, and one test at the end."""

from __future__ import annotations

from dataclasses import dataclass, field

from bbsmooth.tuning.certified_share import RadiusJudge
from bbsmooth.tuning.plan import TunePlan, step_size

_LOOK, _FEWEST_LOOK = 0.02, 750
"""Share of the budget that judges start or candidate at the first look; queries, at least."""

_FIRST, _FEWEST_FIRST = 0.05, 4_000
"""Share of the budget for the steps before it; queries, at least: with fewer, no method has moved far enough."""

_LOOK_ONCE, _FEWEST_LOOK_ONCE, _FIRST_ONCE, _FEWEST_FIRST_ONCE = 0.065, 400, 0.03, 200
"""The same where one answer judges both, and steps need no differences."""

_TEST_ONCE = 0.15
"""Share of the budget that judges at the end where one answer judges both, or more where a plan says so."""

_MOST_LOOK, _MOST_FIRST = 0.12, 0.3
"""Of small budgets."""

_MOST_LOOK_OF_SPENT = 0.2
"""Of the queries that are worth spending, where a budget holds more."""

_MOST_FIRST_OF_STEPS = 0.6
"""Of the queries of all steps, where few of them are for steps."""

_FEWEST_IMAGES, _FEWEST_HELD_OUT = 10, 40


class TooFewImages(ValueError):
    """Fewer held-out images than a judgement needs, whatever is spent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RadiusSchedule:
    """A budget, divided: start, first steps, first look; the other steps, and the test of both.

    So of 100,000 queries 9,000 are spent where the first look promises nothing, of 20,000 five and a half thousand; by
    scores a tenth.

    Attributes:
        first_steps: before the first look.
        num_steps: in all.
        repeats: see `BudgetSchedule`.
        step_queries: of each step.
        look_images: images of the first look, the first of the held-out ones.
        look_draws: draws of each of them.
        test_images: images of the test, the last of them. A look may have seen some: it can only end a run, never
            keep anything, so that the test's error stays what it is.
        test_draws: draws of each of them.
        once: whether the same answers judge start and candidate.
    """

    first_steps: int
    num_steps: int
    repeats: int
    step_queries: int
    look_images: int
    look_draws: int
    test_images: int
    test_draws: int
    once: bool = field(default=False, repr=False)

    @property
    def validated_after(self) -> tuple[int, ...]:
        """Step numbers after which parameters are judged: the start alone, at the first look, at the end."""
        return (self.first_steps, self.num_steps) if self.once else (0, self.first_steps, self.num_steps)

    @property
    def rounds(self) -> tuple[tuple[int, int], ...]:
        """Rounds of judging, as (questions, rounds of as many)."""
        look, test = self.look_images * self.look_draws, self.num_draws
        return ((look, 1), (test, 1)) if self.once else ((look, 2), (2 * test, 1))

    @property
    def num_draws(self) -> int:
        """Draws of the test for start or candidate."""
        return self.test_images * self.test_draws

    @property
    def queries(self) -> int:
        """Everything together."""
        judging = sum(questions * times for questions, times in self.rounds)
        return self.num_steps * self.step_queries + judging

    @classmethod
    def within(
        cls, queries: int, plan: TunePlan, judge: RadiusJudge, *, num_images: int, num_heldout: int
    ) -> RadiusSchedule:
        """As many steps as fit beside the judgements.

        Args:
            queries: that may be spent in all.
            plan: what to spend them on.
            judge: decides.
            num_images: that steps are computed from.
            num_heldout: that are judged.

        Raises:
            TooFewImages: for two judgements of 10 images each, whatever may be spent.
            ValueError: too few queries for them and a step before each.
        """
        if num_heldout < _FEWEST_HELD_OUT:
            raise TooFewImages(f"judging by a radius needs {_FEWEST_HELD_OUT} held-out images, got {num_heldout}")
        once = plan.judges_once
        share, fewest = (_LOOK_ONCE, _FEWEST_LOOK_ONCE) if once else (_LOOK, _FEWEST_LOOK)
        look = min(max(share * (judge.budget or queries), fewest), _MOST_LOOK * (judge.budget or queries))
        look = min(look, _MOST_LOOK_OF_SPENT * queries)
        look_images = min(int(look / judge.look_draws), num_heldout)
        look_draws = min(int(look / max(1, look_images)), judge.draws)
        test = plan.test_share * queries
        if once:
            test = max(_TEST_ONCE * queries, plan.validation_fraction * queries - look)
        test_images = min(int(test / judge.draws), num_heldout)
        if min(look_images, test_images) < _FEWEST_IMAGES:
            raise ValueError(
                f"judging by a radius needs {_FEWEST_IMAGES} held-out images under {judge.look_draws} draws at a first"
                f" look and as many under {judge.draws} at the end, got {look_images} and {test_images} from {queries}"
                f" queries and {num_heldout} held-out images"
            )
        fixed = (1 if once else 2) * (look_draws * look_images + judge.draws * test_images)
        repeats, step_queries = step_size(queries - fixed, plan, num_images)
        share, fewest = (_FIRST_ONCE, _FEWEST_FIRST_ONCE) if once else (_FIRST, _FEWEST_FIRST)
        first = min(max(share * queries, fewest), _MOST_FIRST * queries, _MOST_FIRST_OF_STEPS * (queries - fixed))
        num_steps = (queries - fixed) // step_queries
        first_steps = max(1, int(first / step_queries))
        if num_steps <= first_steps:
            raise ValueError(f"{queries} queries leave no step of {step_queries} after the first look")
        return cls(
            first_steps=first_steps,
            num_steps=num_steps,
            repeats=repeats,
            step_queries=step_queries,
            look_images=look_images,
            look_draws=look_draws,
            test_images=test_images,
            test_draws=judge.draws,
            once=once,
        )
