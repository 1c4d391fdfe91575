from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor

from oracles import Answers, Budget, BudgetExhausted, Ledger, MeteredOracle, OracleSpec, Purpose
from oracles.errors import (
    AnswerError,
    AnswerFailed,
    AnswerLate,
    AnswerLost,
    BatchRefused,
    ImageRefused,
    NotReady,
    OracleChanged,
    OracleError,
    OracleUnavailable,
    QuestionRejected,
    ReplyMisformed,
    RequestRefused,
    ShapeError,
    StorageError,
    Unanswered,
)
from oracles.remote.failures import LONGEST_RETRY_AFTER
from oracles.remote.retrying import RetryingOracle
from tests.builders import pictures, spec
from tests.oracles.remote.clock import Clock

ATTEMPTS = 6
GOOD, OTHER = pictures(2, seed=1), pictures(3, seed=2)
Behaviour = Callable[[Tensor, int], OracleError | None]


@dataclass
class World:
    """A server that fails as `behave(images, number of the request)` says, behind a ledger and a retrying oracle."""

    behave: Behaviour = lambda images, number: None
    budget: int | None = None
    clock: Clock = field(default_factory=Clock)
    asked: list[Tensor] = field(default_factory=list)
    answered: int = 0
    retries: int = 0
    spec: OracleSpec = field(default_factory=lambda: spec(2, name="server", image_shape=(1, 4, 4)))

    def __post_init__(self) -> None:
        self.ledger = Ledger(Budget(queries=self.budget))
        self.breaker = self.clock.breaker()
        self.oracle = RetryingOracle(
            MeteredOracle(self, self.ledger, Purpose.ESTIMATE, attempts=1),
            health_check=MeteredOracle(self, self.ledger, Purpose.DRIFT, attempts=1),
            breaker=self.breaker,
            attempts=ATTEMPTS,
            retried=self.count_retry,
        )

    def count_retry(self) -> None:
        self.retries += 1

    def query(self, images: Tensor) -> Answers:
        self.asked.append(images)
        self.clock.time += 0.1
        error = self.behave(images, len(self.asked))
        if error is not None:
            raise error
        self.answered += len(images)
        return Answers(torch.ones(len(images), dtype=torch.int64))

    def about(self, images: Tensor) -> int:
        """Requests about exactly these images."""
        return sum(other.shape == images.shape and bool((other == images).all()) for other in self.asked)


def failing(errors: Iterable[OracleError]) -> Behaviour:
    """Fails with one error after the other, then answers."""
    rest: Iterator[OracleError] = iter(errors)
    return lambda images, number: next(rest, None)


def only_for(images: Tensor, error: OracleError) -> Behaviour:
    """Fails whenever these images are asked about."""
    return lambda asked, number: error if asked.shape == images.shape and bool((asked == images).all()) else None


PASSING = [
    Unanswered("429"),
    NotReady("503"),
    AnswerLost("reset"),
    AnswerLate("slow"),
    AnswerError("<html>"),
    ReplyMisformed("{}"),
]
PERMANENT = [
    OracleUnavailable("401"),
    OracleChanged("v2"),
    StorageError("full"),
    ShapeError("shape"),
    ImageRefused("no"),
]


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_a_failure_that_passes_is_survived(error: OracleError) -> None:
    times = 1 if isinstance(error, ReplyMisformed) else 3
    world = World(failing([error] * times))
    assert world.oracle.query(OTHER).labels.tolist() == [1, 1, 1]
    assert (len(world.asked), world.retries, world.ledger.attempts) == (times + 1, times, times + 1)
    refunded = isinstance(error, Unanswered)
    assert world.ledger.total == (3 if refunded else 3 * times + 3)


@pytest.mark.parametrize("error", PERMANENT, ids=repr)
def test_what_cannot_pass_is_not_tried_again(error: OracleError) -> None:
    world = World(failing([error]))
    with pytest.raises(type(error)):
        world.oracle.query(OTHER)
    assert (len(world.asked), world.clock.waits) == (1, [])
    if isinstance(error, OracleUnavailable):
        with pytest.raises(OracleUnavailable, match=str(error)):
            world.breaker.check()  # nobody else tries either
    else:
        world.breaker.check()


def test_back_off_grows_is_partly_left_to_chance_and_ends_at_twenty_seconds() -> None:
    waits = []
    for _ in range(60):
        world = World(failing([Unanswered("429")] * 9))
        world.oracle.query(OTHER)
        waits.append(world.clock.waits)
    for step, times in enumerate(zip(*waits, strict=True)):
        half = min(10, 0.25 * 2**step)
        assert half <= min(times) < 1.2 * half
        assert 1.8 * half < max(times) <= 2 * half


@pytest.mark.parametrize("seconds", [0.0, 3.0, 17.0, LONGEST_RETRY_AFTER])
def test_a_retry_after_is_honoured_and_never_shortens_the_back_off(seconds: float) -> None:
    world = World(failing([Unanswered("429", retry_after=seconds), AnswerLost("500")]))
    world.oracle.query(OTHER)
    first, second = world.clock.waits
    assert first >= seconds
    assert 0.25 <= first <= max(seconds, 0.5)
    assert second <= 1


def test_images_that_fail_while_another_question_is_answered_are_refused() -> None:
    for error in (AnswerLost("500"), ReplyMisformed("{}"), AnswerError("garbage"), NotReady("503"), AnswerLate("slow")):
        world = World(only_for(OTHER, error))
        world.oracle.query(GOOD)
        with pytest.raises(ImageRefused, match=f"server does not answer this batch of 3 images: {error}"):
            world.oracle.query(OTHER)
        tries = 3 if isinstance(error, ReplyMisformed) else ATTEMPTS  # the form is not expected to change
        assert world.about(OTHER) == tries
        assert world.ledger.spent[Purpose.DRIFT] == 1
        assert world.ledger.total == world.answered + (0 if isinstance(error, NotReady) else 3 * tries)


def test_a_question_that_is_called_wrong_is_not_repeated() -> None:
    world = World(only_for(OTHER, QuestionRejected("400 bad shape")))
    world.oracle.query(GOOD)
    with pytest.raises(ImageRefused, match="400 bad shape"):
        world.oracle.query(OTHER)
    assert world.about(OTHER) == 1
    assert world.ledger.spent == {**dict.fromkeys(Purpose, 0), Purpose.ESTIMATE: 5, Purpose.DRIFT: 1}


def test_where_no_question_was_ever_right_the_first_wrong_image_ends_it() -> None:
    world = World(lambda images, number: QuestionRejected("400 bad type"))
    with pytest.raises(ImageRefused):
        world.oracle.query(OTHER)  # whoever asked can try fewer
    with pytest.raises(QuestionRejected, match="400 bad type"):
        world.oracle.query(OTHER[:1])
    assert len(world.asked) == 2


def test_where_every_question_is_suddenly_called_wrong_the_server_is_at_fault() -> None:
    world = World(lambda images, number: None if number == 1 else QuestionRejected("400 upgraded"))
    world.oracle.query(GOOD)
    with pytest.raises(QuestionRejected, match="400 upgraded"):
        world.oracle.query(OTHER)


@pytest.mark.parametrize("error", [AnswerLost("500"), AnswerError("garbage"), ReplyMisformed("{}")], ids=repr)
def test_failures_that_are_paid_for_are_limited_in_number(error: OracleError) -> None:
    world = World(lambda images, number: error if number > 1 else None)
    world.oracle.query(GOOD)
    with pytest.raises(type(error)):
        world.oracle.query(OTHER)
    tries = 2 if isinstance(error, ReplyMisformed) else ATTEMPTS - 1
    assert world.about(OTHER) == tries
    assert world.ledger.spent[Purpose.ESTIMATE] == 2 + 3 * tries
    assert world.ledger.spent[Purpose.DRIFT] == 2
    with pytest.raises(OracleUnavailable, match=str(error)):
        world.breaker.check()  # nobody else pays for the same


@pytest.mark.parametrize("error", [Unanswered("refused"), NotReady("503")], ids=repr)
def test_failures_that_cost_nothing_are_limited_by_patience(error: OracleError) -> None:
    world = World(lambda images, number: error if number > 1 else None)
    world.oracle.query(GOOD)
    with pytest.raises(OracleUnavailable, match=f"nothing was answered for 3.. seconds; at last: {error}"):
        world.oracle.query(OTHER)
    assert world.clock.time > 1300
    assert world.ledger.total == 2
    with pytest.raises(OracleUnavailable, match="nothing was answered"):
        world.oracle.query(GOOD)
    assert world.retries > 10


def test_an_outage_shorter_than_the_patience_is_survived_and_costs_nothing() -> None:
    world = World()
    world.behave = lambda images, number: NotReady("503") if 1000.5 < world.clock.time < 1250 else None
    world.oracle.query(GOOD)
    world.clock.time = 1001
    world.oracle.query(OTHER)
    assert world.ledger.total == world.answered


def test_an_outage_that_ends_while_the_health_check_is_asked_is_not_blamed_on_the_images() -> None:
    failures = [AnswerLost("500")] * (ATTEMPTS - 1)
    world = World(failing([]))
    world.oracle.query(GOOD)
    world.behave = failing(failures)
    assert len(world.oracle.query(OTHER)) == 3
    assert world.ledger.spent[Purpose.DRIFT] == 1


def test_a_server_that_is_busy_at_the_last_try_is_asked_again() -> None:
    """Images answered with 503 again and again, then a health check, then 429: that says nothing about the images."""
    world = World(failing([]))
    world.oracle.query(GOOD)
    errors = iter([*[NotReady("503")] * (ATTEMPTS - 1), None, Unanswered("429", retry_after=9.0), None])
    world.behave = lambda images, number: next(errors)
    assert len(world.oracle.query(OTHER)) == 3
    assert world.clock.waits[-1] == 9.0


def test_a_question_that_fails_in_another_way_than_before_met_bad_luck() -> None:
    """A wrong form twice, then a lost answer once others are answered: none of it need be the images' fault."""
    world = World()
    world.oracle.query(OTHER)
    errors = iter([ReplyMisformed("no outputs"), ReplyMisformed("no outputs"), AnswerLost("500")])
    world.behave = lambda images, number: next(errors, None) if len(images) == len(GOOD) else None
    assert len(world.oracle.query(GOOD)) == len(GOOD)


def test_a_question_that_never_fails_the_same_way_twice_does_not_cost_the_whole_budget() -> None:
    world = World()
    world.oracle.query(OTHER)
    image = GOOD[:1]
    world.behave = lambda images, number: ReplyMisformed(f"request {number}") if images is image else None
    with pytest.raises(ImageRefused, match="answers others, but not this image: request"):
        world.oracle.query(image)
    assert world.about(image) == 4 * ATTEMPTS


def test_a_budget_that_ends_between_two_tries_ends_it() -> None:
    world = World(failing([AnswerLost("500")] * 3), budget=7)
    with pytest.raises(BudgetExhausted, match="3 more queries to estimate do not fit, 1 are left"):
        world.oracle.query(OTHER)
    assert world.ledger.total == 6


def test_a_budget_that_cannot_pay_for_the_health_check_ends_it() -> None:
    world = World(only_for(OTHER, AnswerLost("500")), budget=2 + 3 * (ATTEMPTS - 1))
    world.oracle.query(GOOD)
    with pytest.raises(BudgetExhausted, match="1 more queries to drift"):
        world.oracle.query(OTHER)


def test_a_batch_is_never_made_smaller() -> None:
    world = World(lambda images, number: AnswerLost("413") if len(images) > 2 and number > 1 else None)
    world.oracle.query(GOOD)
    with pytest.raises(ImageRefused):
        world.oracle.query(OTHER)
    assert {len(images) for images in world.asked} == {1, 2, 3}  # the health check is one image
    assert world.about(OTHER[:1]) == 0


def test_images_of_a_wrong_shape_are_not_sent() -> None:
    world = World()
    with pytest.raises(ShapeError):
        world.oracle.query(torch.zeros(1, 3, 9, 9))
    assert world.asked == []


def test_a_batch_that_a_status_refuses_costs_no_health_check() -> None:
    world = World(only_for(OTHER, RequestRefused("400 at most 2")))
    world.oracle.query(GOOD)
    with pytest.raises(BatchRefused, match="400 at most 2") as refused:
        world.oracle.query(OTHER)
    assert refused.value.unanswered
    assert (world.about(OTHER), world.ledger.spent[Purpose.DRIFT]) == (1, 0)


def test_a_retry_after_ends_no_later_than_the_patience() -> None:
    world = World(lambda images, number: Unanswered("429", retry_after=LONGEST_RETRY_AFTER))
    world.breaker._patience = 4.0
    started = world.clock.time
    with pytest.raises(OracleUnavailable, match="nothing was answered for 4 seconds; at last: 429"):
        world.oracle.query(OTHER)
    assert world.clock.time - started == pytest.approx(4, abs=0.5)


def test_a_limit_on_requests_does_not_hide_why_they_failed() -> None:
    world = World(lambda images, number: AnswerLost("502 bad gateway"))
    world.oracle = replace(
        world.oracle,
        oracle=MeteredOracle(world, Ledger(Budget(attempts=3)), Purpose.ESTIMATE, attempts=1),
    )
    with pytest.raises(BudgetExhausted, match="0 are left; the last one failed: 502 bad gateway"):
        world.oracle.query(OTHER)


def test_a_canary_that_the_server_fails_on_does_not_end_the_run() -> None:
    first = pictures(1, seed=9)
    world = World(only_for(first, AnswerFailed("500: cannot")))
    canaries = replace(world.oracle, tolerated=4)
    with pytest.raises(ImageRefused, match="does not answer this image: 500: cannot"):
        canaries.query(first)
    assert world.ledger.total == ATTEMPTS - 1
    assert len(canaries.query(GOOD).labels) == len(GOOD)
    with pytest.raises(AnswerFailed):  # without canaries to spare it is the server's fault
        World(only_for(first, AnswerFailed("500: cannot"))).oracle.query(first)


def test_a_server_that_fails_on_every_canary_is_given_up_soon() -> None:
    world = World(lambda images, number: AnswerFailed("500: down"))
    canaries = replace(world.oracle, tolerated=20)
    for seed in range(3):
        with pytest.raises(ImageRefused):
            canaries.query(pictures(1, seed=seed))
    with pytest.raises(AnswerFailed):
        canaries.query(pictures(1, seed=4))
    assert world.ledger.total == 4 * (ATTEMPTS - 1)
