"""Judgements of a run: which parameters are kept, and whether the rest of the budget is worth spending."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from torch import Tensor

from bbsmooth.tuning.certified_share import RadiusJudge, votes_of
from bbsmooth.tuning.checkpoint import TuneState
from bbsmooth.tuning.heldout import Score, Validation
from bbsmooth.tuning.radius_schedule import RadiusSchedule

Facts = Mapping[str, int | float]
"""What a line of history says of a judgement."""


class Judging(Protocol):
    """A way to judge the running mean of the parameters when the schedule says so."""

    def judge(self, state: TuneState) -> tuple[TuneState, Facts]:
        """Ask about held-out images, and keep what deserves it."""
        ...


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MeritJudging:
    """Keeps what has a higher mean probability of the true class on the same draws, and no lower accuracy.

    Args:
        validation: scores parameters.
        margin: standard errors by which they must be better.
    """

    validation: Validation
    margin: float

    def judge(self, state: TuneState) -> tuple[TuneState, Facts]:
        """Score the running mean, and keep it where it beats the best so far."""
        if self.validation.once:
            return self._judge_both(state)
        score = self.validation.score(state.average, evaluation=state.evaluations)
        judged = _asked(state, self.validation.cost(1))
        judged = replace(judged, start=state.start or score)
        if state.best_score is None or score.beats(state.best_score, margin=self.margin):
            judged = replace(judged, best=state.average, best_step=state.step, best_score=score)
        return judged, _facts(judged, score)

    def _judge_both(self, state: TuneState) -> tuple[TuneState, Facts]:
        """Score start and end by the same answers, and keep the end where it beats the start."""
        at = state.evaluations
        start, end = self.validation.scores([(state.best, at), (state.average, at)])
        judged = replace(_asked(state, self.validation.cost(2)), start=start, best_score=start)
        if end.beats(start, margin=self.margin):
            judged = replace(judged, best=state.average, best_step=state.step, best_score=end)
        return judged, _facts(judged, end, start)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RadiusJudging:
    """Keeps what certifies a larger share of images at a radius, by more than chance; stops where none is in sight.

    The start is judged first, the same images again after the first steps. Where they promise nothing, or the start
    leaves too little room, the run ends and the start is kept. Otherwise start and result are compared at the end.

    Args:
        judge_of: the test.
        look: of the images of the first look.
        test: of the images of the test.
        schedule: how many of them there are.
        start: (P,) parameters of the start.
    """

    judge_of: RadiusJudge
    look: Validation
    test: Validation
    schedule: RadiusSchedule
    start: Tensor

    def judge(self, state: TuneState) -> tuple[TuneState, Facts]:
        """Judge the start, take the first look, or test, in this order."""
        begin = () if self.schedule.once else (self._begin,)
        steps: tuple[Callable[[TuneState], tuple[TuneState, Facts]], ...] = (*begin, self._look, self._test)
        return steps[state.evaluations](state)

    def _begin(self, state: TuneState) -> tuple[TuneState, Facts]:
        score = self.look.score(state.average, evaluation=state.evaluations)
        judged = replace(_asked(state, self.look.cost(1)), start=score, best_score=score, judged=self._share(score))
        schedule = self.schedule
        votes = votes_of(score, schedule.look_images)
        if not self.judge_of.leaves_room(votes, schedule.look_draws, tested=schedule.test_images):
            judged = replace(judged, judged=dict(judged.judged) | {"stopped": 1.0})
        return judged, _facts(judged, score) | {"heldout_certified": judged.judged["best"]}

    def _look(self, state: TuneState) -> tuple[TuneState, Facts]:
        at, images, draws = state.evaluations, self.schedule.look_images, self.schedule.look_draws
        if self.schedule.once:
            start, score = self.look.scores([(self.start, at), (state.average, at)])
            state = replace(state, start=start, best_score=start, judged=self._share(start))
        else:
            score = self.look.score(state.average, evaluation=at)
        assert state.start is not None
        before, after = votes_of(state.start, images), votes_of(score, images)
        tested, steps_follow = self.schedule.test_images, not self.schedule.once
        stopped = not self.judge_of.promises(before, after, draws, tested=tested, steps_follow=steps_follow)
        judged = _asked(state, self.look.cost(1))
        judged = replace(judged, judged=dict(state.judged) | {"stopped": float(stopped)})
        shares = {"heldout_certified": self._share(score)["best"]}
        if not self.schedule.once:
            return judged, _facts(judged, score) | shares
        return judged, _facts(judged, score, state.start) | shares | {"heldout_certified_start": judged.judged["start"]}

    def _test(self, state: TuneState) -> tuple[TuneState, Facts]:
        before, after = self.test.scores([(self.start, state.evaluations), (state.average, state.evaluations + 1)])
        images, draws = self.schedule.test_images, self.schedule.test_draws
        then, now = votes_of(before, images), votes_of(after, images)
        p_value = self.judge_of.p_value(then, now, draws)
        judged = _asked(state, self.test.cost(2))
        kept = p_value <= self.judge_of.level
        shares = [float(self.judge_of.certified(votes, draws).double().mean()) for votes in (then, now)]
        judged = replace(
            judged,
            judged={
                "images": float(images),
                "draws": float(draws),
                "start": shares[0],
                "best": shares[1] if kept else shares[0],
                "found": shares[1],
                "p_value": p_value,
                "stopped": 0.0,
            },
        )
        if kept:
            judged = replace(judged, best=state.average, best_step=state.step, best_score=after)
        return judged, _facts(judged, after) | {"heldout_certified": shares[1], "heldout_certified_start": shares[0]}

    def _share(self, score: Score) -> dict[str, float]:
        images, draws = self.schedule.look_images, self.schedule.look_draws
        share = float(self.judge_of.certified(votes_of(score, images), draws).double().mean())
        return {"images": float(images), "draws": float(draws), "start": share, "best": share}


def _asked(state: TuneState, queries: int) -> TuneState:
    """The state after an evaluation that took these queries."""
    return replace(state, evaluations=state.evaluations + 1, queries=state.queries + queries)


def _facts(state: TuneState, score: Score, start: Score | None = None) -> dict[str, int | float]:
    """What history says of a judgement; also of the start, where that was judged by the same answers."""
    return {
        "step": state.step,
        "queries": state.queries,
        "heldout_accuracy": score.accuracy,
        "heldout_merit": float(score.probability.double().mean()),
        "best_step": state.best_step,
    } | ({} if start is None else {"heldout_accuracy_start": start.accuracy})
