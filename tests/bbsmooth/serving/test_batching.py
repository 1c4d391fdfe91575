"""Requests answered together: joined where that helps, and never at the cost of a neighbour."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from bbsmooth.serving.batching import Batcher, BatchPlan
from bbsmooth.serving.measures import Measures
from bbsmooth.serving.refusal import Refusal
from bbsmooth.serving.routes import always
from oracles import AnswerError, Answers, ImageRefused, Oracle, OracleError, OracleUnavailable
from oracles.errors import QuestionRejected
from tests.builders import ConstantOracle, WatchedOracle, halfspace, pictures, spec
from tests.waiting import LONG

HOURS = 50.0  # a wait that a test would not survive


def run(oracle: Oracle, plan: BatchPlan, ask: Callable[[Batcher], Awaitable[None]]) -> None:
    async def session() -> None:
        batcher = Batcher(oracle, plan, Measures(batch_size=plan.size, images="Images", ready=always))
        async with batcher.running():
            await ask(batcher)

    asyncio.run(session())


async def together(batcher: Batcher, *parts: Tensor) -> list[Answers | BaseException]:
    return await asyncio.gather(*(batcher.infer(part) for part in parts), return_exceptions=True)


def calls(oracle: Oracle, plan: BatchPlan, *rounds: list[Tensor]) -> list[list[int]]:
    """Sizes of the calls that each round of simultaneous requests led to; every answer is checked."""
    watched = WatchedOracle(oracle)
    sizes = []

    async def ask(batcher: Batcher) -> None:
        for parts in rounds:
            before = len(watched.batches)
            for part, answers in zip(parts, await together(batcher, *parts), strict=True):
                alone = oracle.query(part)
                assert isinstance(answers, Answers)
                assert torch.equal(answers.labels, alone.labels)
                assert answers.scores is not None
                assert alone.scores is not None
                assert torch.equal(answers.scores, alone.scores)
            sizes.append(watched.batches[before:])

    run(watched, plan, ask)
    return sizes


def test_requests_that_are_there_at_once_are_answered_at_once() -> None:
    parts = list(torch.split(pictures(12, seed=1), [1, 2, 3, 4, 1, 1]))
    plan = BatchPlan(size=100, delay_seconds=HOURS)
    assert calls(halfspace(), plan, parts, parts) == [[12], [12]]


def test_no_call_is_larger_than_the_plan() -> None:
    parts = list(torch.split(pictures(12, seed=1), 3))
    (sizes,) = calls(halfspace(), BatchPlan(size=7, delay_seconds=0.01), parts)
    assert sizes == [6, 6]
    (sizes,) = calls(halfspace(), BatchPlan(size=3, delay_seconds=HOURS), parts)
    assert sizes == [3, 3, 3, 3]


def test_one_question_after_the_other_never_waits() -> None:
    rounds = [[part] for part in torch.split(pictures(5, seed=1), 1)]
    assert calls(halfspace(), BatchPlan(delay_seconds=HOURS), *rounds) == [[1]] * 5


def test_company_that_stays_away_is_waited_for_once_and_not_for_long() -> None:
    image = pictures(1, seed=1)
    plan = BatchPlan(delay_seconds=0.001)
    assert calls(halfspace(), plan, [image] * 3, [image], [image]) == [[3], [1], [1]]


def test_bytes_and_floats_are_not_mixed() -> None:
    images = pictures(2, seed=1)
    (sizes,) = calls(halfspace(), BatchPlan(delay_seconds=0.01), [images, images / 255, images[:1]])
    assert sorted(sizes) == [2, 3]


def test_several_calls_at_once_where_the_plan_says_so() -> None:
    under_way: list[int] = []
    meeting = asyncio.Event()

    async def ask(batcher: Batcher) -> None:
        loop = asyncio.get_running_loop()

        def arrive() -> None:
            under_way.append(1)
            if len(under_way) == 2:
                meeting.set()

        def wait_for_the_other() -> None:
            loop.call_soon_threadsafe(arrive)
            asyncio.run_coroutine_threadsafe(meeting.wait(), loop).result(timeout=LONG)

        oracle.before = wait_for_the_other
        await together(batcher, *torch.split(pictures(2, seed=1), 1))

    oracle = WatchedOracle(halfspace())
    run(oracle, BatchPlan(size=1, concurrency=2), ask)
    assert oracle.batches == [1, 1]


@dataclass
class Picky:
    """Has no answer to a batch with a white corner in it."""

    error: OracleError
    spec: ClassVar = spec(3)

    def query(self, images: Tensor) -> Answers:
        if (images[:, 0, 0, 0] == 255).any():
            raise self.error
        return Answers(images[:, 0, 0, 0].long() % 3)


@pytest.mark.parametrize("error", [AnswerError("no"), ImageRefused("no"), QuestionRejected("no")], ids=repr)
def test_an_image_without_an_answer_costs_its_neighbours_nothing(error: OracleError) -> None:
    images = pictures(5, seed=1)
    images[:, 0, 0, 0] = torch.tensor([3, 4, 255, 5, 6])

    async def ask(batcher: Batcher) -> None:
        outcomes = await together(batcher, *torch.split(images, 1))
        labels = [outcome.labels.tolist() if isinstance(outcome, Answers) else None for outcome in outcomes]
        assert labels == [[0], [1], None, [2], [0]]
        assert outcomes[2] is error

    run(Picky(error), BatchPlan(), ask)


def test_an_oracle_that_is_away_is_not_asked_again_for_each() -> None:
    asked: list[int] = []

    def away() -> None:
        asked.append(1)
        raise OracleUnavailable("gone")

    async def ask(batcher: Batcher) -> None:
        outcomes = await together(batcher, *torch.split(pictures(4, seed=1), 1))
        assert all(isinstance(outcome, OracleUnavailable) for outcome in outcomes)

    run(WatchedOracle(halfspace(), before=away), BatchPlan(), ask)
    assert len(asked) == 1


class Miscounting:
    """Gives one answer, whatever the number of images."""

    spec = spec(3)

    def query(self, images: Tensor) -> Answers:
        return Answers(torch.tensor([1]))


def test_an_oracle_that_miscounts_leaves_nobody_waiting() -> None:

    async def ask(batcher: Batcher) -> None:
        outcomes = await together(batcher, *torch.split(pictures(2, seed=1), 1))
        assert all(isinstance(outcome, Exception) for outcome in outcomes)

    run(Miscounting(), BatchPlan(), ask)


def test_a_full_queue_refuses_more() -> None:
    async def ask(batcher: Batcher) -> None:
        outcomes = await together(batcher, *torch.split(pictures(5, seed=1), 1))
        refused = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
        assert len(refused) == 3
        assert {(refusal.status, refusal.retry_after) for refusal in refused} == {(503, 1)}

    run(ConstantOracle(spec(3)), BatchPlan(max_waiting=2), ask)


@pytest.mark.parametrize(
    "plan",
    [{"size": 0}, {"concurrency": 0}, {"max_waiting": 0}, {"delay_seconds": -1}, {"delay_seconds": float("nan")}],
)
def test_plans_that_cannot_work(plan: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        BatchPlan(**plan)  # type: ignore[arg-type]
