"""Tuning judged by certified shares: exact error rates, and half-space worlds where the answer is known."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist

import pytest
import torch
from scipy.stats import beta, binom
from torch import Tensor

from bbsmooth.noise import Gaussian, Grid
from bbsmooth.randomness import fork
from bbsmooth.tuning.certified_share import RadiusJudge, votes_of
from bbsmooth.tuning.estimators.directions import Rademacher
from bbsmooth.tuning.estimators.grouped import GroupedSpsa
from bbsmooth.tuning.heldout import Score
from bbsmooth.tuning.learners.cma_es import CmaEs
from bbsmooth.tuning.learners.descent import Descent
from bbsmooth.tuning.learners.protocol import Learner
from bbsmooth.tuning.losses.certified_share import CertifiedShare, balanced
from bbsmooth.tuning.methods import JUDGED, METHODS, judged, within
from bbsmooth.tuning.plan import TunePlan
from bbsmooth.tuning.radius_schedule import RadiusSchedule, TooFewImages
from bbsmooth.tuning.rules.gains import Gains
from bbsmooth.tuning.rules.steps import Adam
from bbsmooth.tuning.tune import Event, TuneResult, tune
from oracles import Answers, Feedback

SIGMA, RADIUS = 0.25, 0.25
NEEDED = NormalDist().cdf(RADIUS / SIGMA)
JUDGE = RadiusJudge(radius=RADIUS, needed=NEEDED)
SIDE = 8
DIRECTION = torch.full((1, SIDE, SIDE), 1 / SIDE)  # of length 1


@dataclass(frozen=True)
class Shifted:
    """Moves images along the half-space's normal by the first parameter, in units of sigma; the second does nothing."""

    image_shape: tuple[int, int, int] = (1, SIDE, SIDE)
    sigma: float = SIGMA
    fingerprint: str = "00"

    def on(self, device: torch.device) -> Shifted:
        return self

    def initial_parameters(self) -> Tensor:
        return torch.zeros(2)

    def propose(self, images: Tensor, parameters: Tensor) -> Tensor:
        return images + SIGMA * parameters[0] * DIRECTION

    def render(self, proposed: Tensor) -> Tensor:
        return proposed  # a plane needs no clipping, and so has its closed form


def half_space(images: Tensor, name: bytes) -> Answers:
    """Class 1 where an image lies beyond the plane through mid grey; how far, in units of sigma, as a logit."""
    distance = ((images - 0.5) * DIRECTION).sum((1, 2, 3)) / SIGMA
    return Answers(labels=(distance > 0).long(), scores=torch.stack([-distance, distance], 1).double())


def world(kinds: list[tuple[int, float, int]]) -> tuple[Tensor, Tensor]:
    """Images at distances from the plane: (class, margin in units of sigma on the side of that class, how many)."""
    images, labels, generator = [], [], fork(0, "world")
    for label, margin, number in kinds:
        distance = SIGMA * margin * (1 if label else -1)
        level = (0.5 + distance * float(DIRECTION.mean())) * 255
        low = math.floor(level)
        whole = torch.full((SIDE * SIDE,), low, dtype=torch.int16)
        whole[: round((level - low) * SIDE * SIDE)] += 1  # the mean is exact to 1 / 64 of a grey level
        for _ in range(number):  # equal images would have equal noise; what the plane does not see tells them apart
            apart = torch.randint(0, 30, (SIDE * SIDE // 2,), generator=generator, dtype=torch.int16)
            images.append((whole + torch.cat([apart, -apart])).to(torch.uint8).view(1, SIDE, SIDE))
        labels += [label] * number
    return torch.stack(images), torch.tensor(labels)


def tuned(
    kinds: list[tuple[int, float, int]], plan: TunePlan, *, queries: int, seed: int = 0, labels_only: bool = True
) -> tuple[TuneResult, list[Event]]:
    images, labels = world(kinds)
    noise, events = Gaussian(SIGMA), list[Event]()
    result = tune(
        Shifted(),
        images,
        labels,
        noise=noise,
        grid=Grid.fitting(noise, eight_bit=False),
        plan=plan,
        queries=queries,
        seed=seed,
        feedback=Feedback.LABELS if labels_only else Feedback.LOGITS,
        ask=half_space,
        history=events.append,
    )
    return result, events


def descent() -> Descent:
    gains = Gains(learning_rate=0.05, probe_radius=0.2, learning_decay=0.0, probe_decay=0.0, stability=0.0)
    return Descent(estimator=GroupedSpsa(directions=Rademacher(), num_groups=10), rule=Adam(), gains=gains)


def plan(learner: Learner | None = None, **changed: object) -> TunePlan:
    return replace(TunePlan(learner=learner or descent(), heldout_share=0.4), **changed)  # type: ignore[arg-type]


RISES = [(1, 0.6, 250), (0, 3.0, 250)]
"""p = 0.726 for class 1, below p_R = 0.841; a shift by 0.9 sigma takes it to 0.933, and leaves class 0 at 0.982."""

ONLY_THE_MEAN = [(1, -0.2, 245), (0, 1.3, 255)]
"""A shift by 0.6 sigma takes class 1 from 0.42 to 0.66, below p_R, and class 0 from 0.903 to 0.758, below it too.

A larger one certifies class 1 in place of class 0, which has more images.
"""


class TestHalfSpaces:
    """End to end, the loop asks a plane."""

    def test_what_certifies_more_is_kept(self) -> None:
        result, events = tuned(RISES, plan(judge=JUDGE), queries=20_000)
        assert float(result.parameters[0]) > 0.5
        assert result.judged["best"] > result.judged["start"] + 0.3
        assert result.judged["p_value"] < 1e-6
        assert result.queries <= 20_000
        assert events[-1]["heldout_certified"] == result.judged["best"]

    def test_what_raises_the_mean_alone_is_refused_and_the_rest_stays_unspent(self) -> None:
        by_the_mean, _ = tuned(ONLY_THE_MEAN, plan(), queries=20_000)
        assert by_the_mean.best_accuracy > by_the_mean.start_accuracy + 0.02
        assert float(by_the_mean.parameters[0]) > 0.3

        result, events = tuned(ONLY_THE_MEAN, plan(judge=JUDGE), queries=20_000)
        assert torch.equal(result.parameters, torch.zeros(2))
        assert result.judged["stopped"] == 1
        assert result.queries == events[-1]["queries"] <= 0.28 * 20_000

    def test_of_a_large_budget_less_than_a_tenth_is_spent_where_nothing_is_to_be_had(self) -> None:
        result, _ = tuned(ONLY_THE_MEAN, plan(judge=JUDGE), queries=100_000)
        assert result.judged["stopped"] == 1
        assert result.queries <= 10_000

    def test_where_nothing_is_left_to_gain_not_one_step_is_paid_for(self) -> None:
        certified = [(1, 3.0, 250), (0, 3.0, 250)]  # p = 0.998
        result, (event,) = tuned(certified, plan(judge=JUDGE), queries=20_000)
        assert result.judged["stopped"] == 1
        assert (event["step"], result.queries) == (0, event["queries"])
        assert result.queries < 0.1 * 20_000

    @pytest.mark.parametrize("learner", [descent(), CmaEs(spread=0.3, population=8)], ids=["spsa", "cma-es"])
    @pytest.mark.parametrize("labels_only", [True, False])
    def test_the_certified_objective_climbs_where_the_mean_would_not(self, learner: Learner, labels_only: bool) -> None:
        """Most images sit far on the wrong side; a few of class 0 need a shift to the other side to be certified."""
        kinds = [(1, -1.0, 240), (0, 0.75, 260)]
        loss = CertifiedShare(needed=NEEDED)
        result, _ = tuned(kinds, plan(learner, loss=loss, judge=JUDGE), queries=20_000, labels_only=labels_only)
        assert float(result.parameters[0]) < -0.2
        assert result.judged["best"] > result.judged["start"] + 0.2

    def test_a_resumed_run_ends_alike(self) -> None:
        images, labels = world(RISES)
        noise, states = Gaussian(SIGMA), list[bytes]()
        settings = {
            "noise": noise,
            "grid": Grid.fitting(noise, eight_bit=False),
            "plan": plan(CmaEs(population=8), judge=JUDGE),
            "queries": 12_000,
            "seed": 1,
            "feedback": Feedback.LABELS,
            "ask": half_space,
        }
        whole = tune(Shifted(), images, labels, checkpoint=states.append, **settings)  # type: ignore[arg-type]
        for number in (0, 1, len(states) // 2, len(states) - 1):
            again = tune(Shifted(), images, labels, resume=states[number], **settings)  # type: ignore[arg-type]
            assert torch.equal(again.parameters, whole.parameters)
            assert (again.queries, dict(again.judged)) == (whole.queries, dict(whole.judged))


class TestTest:
    """The test that decides what is kept."""

    def test_it_is_mcnemars(self) -> None:
        before = torch.tensor([20] * 3 + [10] * 10 + [20] * 7)
        after = torch.tensor([10] * 3 + [20] * 10 + [20] * 7)
        assert JUDGE.p_value(before, after, 20) == pytest.approx(binom.sf(9, 13, 0.5))
        assert JUDGE.p_value(before, before, 20) == 1.0

    def test_it_keeps_what_gains_nothing_no_more_often_than_its_level_says(self) -> None:
        """Exactly: over all numbers of gained and lost images, both as likely."""
        images = 60
        for share in (0.05, 0.2, 0.5):  # of the images that change sides
            total = 0.0
            for changed in range(images + 1):
                for gained in range(changed + 1):
                    lost = changed - gained
                    before = torch.tensor([0] * gained + [20] * lost + [20] * (images - changed))
                    after = torch.tensor([20] * gained + [0] * lost + [20] * (images - changed))
                    if JUDGE.p_value(before, after, 20) <= JUDGE.level:
                        total += binom.pmf(changed, images, share) * binom.pmf(gained, changed, 0.5)
                        break_even = gained
                        total += binom.pmf(changed, images, share) * binom.sf(break_even, changed, 0.5)
                        break
            assert 0 < total <= JUDGE.level

    def test_the_chance_of_each_image_is_its_posterior(self) -> None:
        votes = torch.tensor([0, 10, 17, 20])
        expected = [1 - beta.cdf(NEEDED, vote + 0.5, 20.5 - vote) for vote in votes.tolist()]
        assert JUDGE.chances(votes, 20).tolist() == pytest.approx(expected)

    def test_votes_are_counted_by_the_image(self) -> None:
        correct = torch.tensor([[1, 0, 1], [1, 1, 0]]).float()  # two draws of three images
        assert votes_of(Score(correct.flatten(), correct.flatten()), 3).tolist() == [2, 1, 1]

    def test_few_draws_suffice_for_small_radii_and_more_are_asked_for_large_ones(self) -> None:
        assert RadiusJudge(radius=0.25, needed=0.84).draws == 20
        assert RadiusJudge(radius=0.5, needed=0.977).draws == 44
        assert RadiusJudge(radius=1.0, needed=0.9999).draws == 100


class TestFirstLook:
    """Whether to go on: simulated images, whose chances of a right answer are known with start and candidate.

    Of the images a share sits at 0.65 with one and at 0.95 with the other, the rest far from p_R in both.
    """

    LOOKED_AT, TESTED, CHANGING = 1_280, 1_000, 0.16

    def looks(self, gain: float, *, seed: int, images: int) -> tuple[Tensor, Tensor]:
        generator = fork(seed, "looks")
        kind = torch.rand(images, generator=generator)
        rises, falls = (self.CHANGING + gain) / 2, (self.CHANGING - gain) / 2
        before = torch.full((images,), 0.3)
        before[kind < rises + falls + 0.3] = 0.99
        after = before.clone()
        before[kind < rises], after[kind < rises] = 0.65, 0.95
        turned = (kind >= rises) & (kind < rises + falls)
        before[turned], after[turned] = 0.95, 0.65
        draws = torch.rand(JUDGE.look_draws, images, generator=generator)  # the same noise for both
        return (draws < before).sum(0), (draws < after).sum(0)

    def share_that_goes_on(self, gain: float, *, images: int, tested: int, runs: int = 200) -> float:
        looks = (self.looks(gain, seed=seed, images=images) for seed in range(runs))
        goes_on = [JUDGE.promises(*look, JUDGE.look_draws, tested=tested) for look in looks]
        return sum(goes_on) / runs

    @pytest.mark.parametrize(("images", "tested"), [(260, 810), (1_280, 1_080)])
    def test_where_nothing_is_gained_nine_of_ten_runs_stop(self, images: int, tested: int) -> None:
        assert self.share_that_goes_on(0.0, images=images, tested=tested) <= 0.1

    def test_where_images_rise_most_runs_go_on(self) -> None:
        assert self.share_that_goes_on(0.05, images=1_280, tested=1_080) >= 0.95
        assert self.share_that_goes_on(0.05, images=260, tested=810) >= 0.6

    def test_a_gain_that_the_test_would_hardly_show_is_not_pursued(self) -> None:
        before, after = self.looks(0.05, seed=0, images=1_280)
        assert JUDGE.promises(before, after, JUDGE.look_draws, tested=1_000)
        assert not JUDGE.promises(before, after, JUDGE.look_draws, tested=30)
        assert not JUDGE.promises(after, before, JUDGE.look_draws, tested=1_000)

    def test_further_steps_may_make_more_of_it(self) -> None:
        before, after = self.looks(0.03, seed=1, images=1_280)
        assert not JUDGE.promises(before, after, JUDGE.look_draws, tested=300)
        assert JUDGE.promises(before, after, JUDGE.look_draws, tested=300, steps_follow=True)

    def test_room_is_what_half_of_the_images_would_show(self) -> None:
        votes = torch.tensor([5] * 92 + [0] * 8)  # 8 of 100 are not certified: 4 % of 120 images are 5, of 100 are 4
        assert JUDGE.leaves_room(votes, 5, tested=120)
        assert not JUDGE.leaves_room(votes, 5, tested=100)
        assert (JUDGE.shows(5, 0), JUDGE.shows(4, 0)) == (True, False)


class TestLoss:
    """The share as a loss."""

    def test_it_is_the_smoothed_share_of_images(self) -> None:
        right = torch.tensor([[1.0] * 5, [1.0, 1.0, 1.0, 0.0, 0.0]]).flatten()
        found = CertifiedShare(needed=NEEDED, draws=5, width=0.1)(
            torch.stack([1 - right, right], 1), torch.ones(10).long()
        )
        normal = NormalDist()
        expected = [1 - normal.cdf((p - NEEDED) / 0.1) for p in (1.0, 0.6)]
        assert found.tolist() == pytest.approx([expected[0]] * 5 + [expected[1]] * 5, abs=1e-6)

    def test_an_image_on_the_right_side_has_no_slope_left_to_gain(self) -> None:
        """d loss / d p is that of the normal density around p_R: an image at p = 0.4 is not worth a vote."""
        loss = CertifiedShare(needed=0.9, draws=1, width=0.1)
        p = torch.tensor([0.4, 0.85, 1.0], requires_grad=True)
        loss(torch.stack([1 - p, p], 1), torch.ones(3).long()).sum().backward()  # type: ignore[no-untyped-call]
        assert p.grad is not None
        normal = NormalDist()
        expected = [-normal.pdf((value - 0.9) / 0.1) / 0.1 for value in (0.4, 0.85, 1.0)]
        assert p.grad.tolist() == pytest.approx(expected, abs=1e-5)

    def test_classes_count_alike(self) -> None:
        labels = torch.tensor([0] * 9 + [1] * 3 + [3] * 4)
        weights = balanced(labels)
        by_class = [sum(weights[label] for label in labels.tolist() if label == each) for each in (0, 1, 3)]
        assert by_class == pytest.approx([16 / 3] * 3)


class TestSchedule:
    """How a budget is divided."""

    @pytest.mark.parametrize("queries", [8_000, 20_000, 100_000, 1_000_000])
    def test_it_stays_within_the_budget(self, queries: int) -> None:
        found = RadiusSchedule.within(queries, plan(), JUDGE, num_images=8_000, num_heldout=2_000)
        assert 0.9 * queries < found.queries <= queries
        assert max(found.look_images, found.test_images) <= 2_000
        assert found.first_steps < found.num_steps

    @pytest.mark.parametrize("queries", [4_000, 20_000])
    def test_what_a_map_of_scores_does_not_need_to_learn_from_judges_it(self, queries: int) -> None:
        method = judged(METHODS["matrix-scaling"], JUDGE)
        found = RadiusSchedule.within(queries, method.plan, JUDGE, num_images=8_000, num_heldout=2_000)
        for_steps = found.num_steps * found.step_queries
        assert for_steps == pytest.approx(queries / JUDGED, abs=2 * found.step_queries)
        assert found.queries <= queries
        assert 1 <= found.first_steps < found.num_steps
        usual = RadiusSchedule.within(queries, plan(), JUDGE, num_images=8_000, num_heldout=2_000)
        assert found.test_images > 2.5 * usual.test_images

    @pytest.mark.parametrize("num_heldout", [640, 2_000])
    @pytest.mark.parametrize(
        ("name", "budget"),
        [
            ("matrix-scaling", 20_000),
            ("matrix-scaling", 100_000),
            ("equaliser-matrix", 70_000),
            ("equaliser", 100_000),
            ("equaliser", 1_000_000),
        ],
    )
    def test_up_to_the_first_look_less_than_a_tenth_of_the_budget_is_spent(
        self, name: str, budget: int, num_heldout: int
    ) -> None:
        plan = within(judged(METHODS[name], JUDGE), budget).plan
        assert plan.judge is not None
        worth = min(budget, 32_000) if name == "matrix-scaling" else budget
        found = RadiusSchedule.within(worth, plan, plan.judge, num_images=4 * num_heldout, num_heldout=num_heldout)
        looks = 1 if plan.judges_once else 2
        first = found.first_steps * found.step_queries + looks * found.look_images * found.look_draws
        assert 0.06 * budget < first < 0.1 * budget
        assert found.queries <= worth

    def test_too_small_a_budget_is_refused(self) -> None:
        with pytest.raises(ValueError, match="judging by a radius needs 10 held-out images") as refused:
            RadiusSchedule.within(500, plan(), JUDGE, num_images=8_000, num_heldout=2_000)
        assert not isinstance(refused.value, TooFewImages)

    def test_too_few_images_are_told_from_too_small_a_budget(self) -> None:
        with pytest.raises(TooFewImages, match="needs 40 held-out images, got 39"):
            RadiusSchedule.within(10**9, plan(), JUDGE, num_images=8_000, num_heldout=39)
        found = RadiusSchedule.within(10**9, plan(), JUDGE, num_images=8_000, num_heldout=40)
        assert (found.look_images, found.look_draws, found.test_images) == (40, 20, 40)
