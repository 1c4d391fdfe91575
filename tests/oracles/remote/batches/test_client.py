"""Jobs of a batch interface: nothing paid twice, nothing lost, wherever a process dies."""

import random
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import pytest

from oracles import (
    AnswerLost,
    Budget,
    BudgetExhausted,
    Ledger,
    OracleUnavailable,
    Purpose,
    ResponseStore,
    Unanswered,
    VoteLog,
)
from oracles.budget import Spent, exact
from oracles.prices import read_prices
from oracles.recording import REFUSED
from oracles.remote.batches.client import APPEARS_SECONDS, KEPT_SECONDS
from oracles.remote.batches.endpoint import Gone, JobState
from oracles.remote.batches.journal import Journal, Stage
from oracles.usage import Told
from tests.builders import spec
from tests.oracles.remote.batches.desk import (
    MOST,
    Death,
    Desk,
    Run,
    check_votes,
    compose,
    ledger,
    pieces,
    stream,
    usage,
    used,
)

TOTAL = 2 * (3 + 5)


def test_draws_are_answered_in_jobs_of_the_vendors_size(tmp_path: Path) -> None:
    run = Run(tmp_path, Desk())
    assert run.finish(pieces()) == 1
    check_votes(run)
    assert [len(job["items"]) for job in run.desk.jobs.values()] == [7, 7, 2]
    assert set(run.desk.billed.values()) == {1}
    spent = ledger(run)
    assert (spent.spent[Purpose.SELECT], spent.spent[Purpose.ESTIMATE], spent.batched, spent.attempts) == (6, 10, 16, 3)


def test_a_job_is_no_larger_than_its_bytes(tmp_path: Path) -> None:
    desk = Desk()
    line = max(len(desk.line("bbs-run-0-1", request)) for piece in pieces() for request in compose(piece))
    desk.limits = type(desk.limits)(requests=1000, size=3 * (line + 1) + 64)
    run = Run(tmp_path, desk)
    run.finish(pieces())
    check_votes(run)
    assert [len(job["items"]) for job in desk.jobs.values()] == [3, 3, 3, 3, 3, 1]


@pytest.mark.parametrize("mute", [False, True])
def test_wherever_a_process_dies_nothing_is_paid_twice_and_nothing_is_lost(tmp_path: Path, mute: bool) -> None:
    death, deaths = 1, 0
    while True:
        run = Run(tmp_path / str(death), Desk(mute=float(mute)), Budget(queries=2 * TOTAL), dies_at=death)
        try:
            run.finish(pieces())
            assert run.steps < death, "every step of a run was its last in one of the trials"
            break
        except Death:
            deaths += 1
        in_doubt = in_flight(run)
        run.dies_at = None
        run.finish(pieces())
        check_votes(run)
        assert set(run.desk.billed.values()) == {1}
        charged = ledger(run)
        assert charged.total - TOTAL in ({0, in_doubt} if in_doubt else {0})
        assert charged.batched == charged.total
        run.now += 2 * APPEARS_SECONDS  # what could still have appeared by now has not
        run.finish(pieces())
        assert ledger(run).total == TOTAL
        death += 1
    assert deaths > 60


def in_flight(run: Run) -> int:
    """Questions of a job that was charged, and whose submission a death may have prevented."""
    store = ResponseStore(run.folder / "responses")
    found = sum(job.count for job in Journal(store, "run").at(Stage.CHARGED))
    store.close()
    return found


@pytest.mark.parametrize("seed", range(12))
def test_many_deaths_and_faults(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    desk = Desk(chance, failing=0.05, expiring=0.2, mute=0.3, busy=0.3)
    run = Run(tmp_path, desk, Budget(queries=40 * TOTAL))
    for _ in range(25):
        run.dies_at = chance.randrange(1, 60)
        try:
            run.finish(pieces())
            break
        except Death:
            charged = ledger(run).total
            assert desk.billed.total() <= charged <= 40 * TOTAL
    run.dies_at = None
    run.finish(pieces())
    check_votes(run)
    assert set(desk.billed.values()) == {1}
    run.now += 2 * APPEARS_SECONDS
    run.finish(pieces())
    assert ledger(run).total == TOTAL


def test_a_lost_submission_is_found_by_its_tag(tmp_path: Path) -> None:
    run = Run(tmp_path, Desk(mute=1.0, hidden=3))
    assert run.finish(pieces()) == 1
    check_votes(run)
    assert len(run.desk.jobs) == 3
    assert any("is found again" in line for line in run.told)


def test_a_submission_that_never_arrived_stays_charged_for_an_hour_and_is_asked_again(tmp_path: Path) -> None:
    run = Run(tmp_path, Desk(forgets=True))
    client = run.client()
    client.ask(pieces()[:2], compose)
    assert client.ledger.total == 6
    assert [job.stage for job in client.journal.jobs] == [Stage.LOST]
    client.journal.store.close()
    run.desk.forgets = False
    run.finish(pieces())
    check_votes(run)
    assert ledger(run).total == TOTAL + 6
    run.now += APPEARS_SECONDS + 1
    run.finish(pieces())
    assert ledger(run).total == TOTAL


def test_the_hour_in_which_a_submission_may_appear_begins_with_its_last_try(tmp_path: Path) -> None:
    run, tries = Run(tmp_path, Desk()), list[bytes]()

    def submit(body: bytes) -> str:
        tries.append(body)
        if len(tries) == 1:
            raise Unanswered("too many", retry_after=2 * APPEARS_SECONDS)
        raise AnswerLost("the connection broke")

    run.desk.submit = submit  # type: ignore[method-assign]
    client = run.client()
    client.ask(pieces()[:2], compose)
    assert [job.stage for job in client.journal.jobs] == [Stage.LOST]
    assert client.ledger.total == 6
    client.journal.store.close()


def test_a_job_that_the_vendor_does_not_keep_ends_the_run_for_a_month_and_stays_charged(tmp_path: Path) -> None:
    run = Run(tmp_path, Desk(looks=50))
    client = run.client()
    client.sleep = lambda seconds: (_ for _ in ()).throw(Death())
    with pytest.raises(Death):
        client.ask(pieces()[:2], compose)
    client.journal.store.close()
    look, run.desk.looks = run.desk.look, 1

    def forgotten(job: str) -> JobState:
        if job == "job0":
            raise Gone("404")
        return look(job)

    run.desk.look = forgotten  # type: ignore[method-assign]
    with pytest.raises(Gone):
        run.finish(pieces())
    run.now += KEPT_SECONDS
    run.finish(pieces())
    check_votes(run)
    assert ledger(run).total == TOTAL + 6


def test_a_job_that_appears_after_all_is_cancelled_and_what_it_answered_is_paid_for(tmp_path: Path) -> None:
    desk = Desk(mute=1.0, hidden=5, looks=50)
    run = Run(tmp_path, desk)
    client = run.client()
    client.ask(pieces()[:2], compose)  # six draws, in a job that is not listed at first
    client.journal.store.close()
    desk.mute, desk.looks = 0.0, 1
    assert run.finish(pieces()) == 1
    check_votes(run)
    assert next(iter(desk.jobs.values()))["cancelled"]
    charged = ledger(run).total
    assert charged == desk.billed.total() >= TOTAL


def test_what_expired_is_asked_again_and_not_charged(tmp_path: Path) -> None:
    run = Run(tmp_path, Desk(random.Random(5), expiring=0.7))
    assert run.finish(pieces()) > 1
    check_votes(run)
    assert ledger(run).total == run.desk.billed.total() == TOTAL


def body(purpose: str, number: int, draw: int) -> str:
    return f'["{purpose}", "{stream(number).hex()}", {draw}]'


def test_a_question_that_always_fails_is_refused_and_not_charged(tmp_path: Path) -> None:
    run = Run(tmp_path, Desk(bad={body("select", 0, 1)}))
    assert run.finish(pieces()) == 3
    assert ledger(run).total == TOTAL - 1
    store = ResponseStore(tmp_path / "responses")
    assert VoteLog(store, spec(3)).read(stream(0), 0, 3).tolist() == [0, REFUSED, 0]
    store.close()


def test_an_answer_that_says_nothing_is_charged_each_time(tmp_path: Path) -> None:
    run = Run(tmp_path, Desk(empty={body("select", 0, 1)}))
    assert run.finish(pieces()) == 3
    assert ledger(run).total == run.desk.billed.total() == TOTAL + 2


def test_a_vendor_that_answers_nothing_ends_the_run(tmp_path: Path) -> None:
    run = Run(tmp_path, Desk(failing=1.0))
    with pytest.raises(OracleUnavailable, match="Desk answers no question of a batch job: the picture cannot be read"):
        run.finish(pieces())
    assert ledger(run).total <= TOTAL  # other jobs may be under way
    run.desk.failing = 0.0
    run.finish(pieces())
    check_votes(run)
    assert ledger(run).total == TOTAL


def test_jobs_that_expire_without_an_answer_end_the_run(tmp_path: Path) -> None:
    desk = Desk(expiring=1.0)
    desk.chance = random.Random(0)
    desk.chance.randrange = lambda *bounds: 0  # type: ignore[method-assign]
    run = Run(tmp_path, desk)
    with pytest.raises(OracleUnavailable, match="2 jobs in a row ended at Desk without any answer"):
        run.finish(pieces())


def test_a_refused_job_ends_the_run_and_is_not_charged(tmp_path: Path) -> None:
    run = Run(tmp_path, Desk(refuse=["invalid model"]))
    with pytest.raises(OracleUnavailable, match="Desk refuses a batch job: invalid model"):
        run.finish(pieces())
    run.finish(pieces())
    check_votes(run)
    assert ledger(run).total == TOTAL


def test_a_full_queue_is_waited_for(tmp_path: Path) -> None:
    run = Run(tmp_path, Desk(refuse=["", "full"], looks=3))
    assert run.finish(pieces()) == 2
    check_votes(run)
    assert ledger(run).total == TOTAL


def test_nothing_is_submitted_beyond_the_budget(tmp_path: Path) -> None:
    run = Run(tmp_path, Desk(), Budget(queries=10))
    with pytest.raises(BudgetExhausted):
        run.finish(pieces())
    assert run.desk.billed.total() <= 7
    assert ledger(run).total == 7


def test_jobs_beyond_a_smaller_budget_are_cancelled(tmp_path: Path) -> None:
    run = Run(tmp_path, Desk(looks=50), dies_at=10**9)
    client = run.client()
    client.sleep = lambda seconds: (_ for _ in ()).throw(Death())
    with pytest.raises(Death):
        client.ask(pieces(), compose)
    client.journal.store.close()
    assert ledger(run).total == TOTAL
    run.budget = Budget(queries=8)
    client = run.client()
    client.drain()
    client.journal.store.close()
    assert [job["cancelled"] for job in run.desk.jobs.values()] == [False, True, True]
    assert ledger(run).total == run.desk.billed.total()


def test_money_is_counted_at_the_price_of_a_batch(tmp_path: Path) -> None:
    budget = Budget(price_per_1000=10.0, batch_price_per_1000=5.0, money=TOTAL * 5 / 1000)
    run = Run(tmp_path, Desk(), budget)
    run.finish(pieces())
    check_votes(run)
    found = Ledger(budget, tmp_path / "ledger.json")
    assert found.price == pytest.approx(TOTAL * 5 / 1000)
    assert found.remaining == 0


def test_jobs_of_another_run_are_none_of_its_own(tmp_path: Path) -> None:
    run = Run(tmp_path, Desk(looks=50))
    client = run.client()
    client.sleep = lambda seconds: (_ for _ in ()).throw(Death())
    with pytest.raises(Death):
        client.ask(pieces(), compose)
    assert len(client.journal.jobs) == 3
    assert Journal(client.journal.store, "other").jobs == []
    client.journal.store.close()


PRICES = read_prices(
    {
        "per_million_input_tokens": 700,
        "per_million_output_tokens": 3000,
        "max_input_tokens": MOST.input_tokens,
        "max_output_tokens": MOST.output_tokens,
    }
)
WORST = Fraction(1, 2) * PRICES.tokens(Told(1, MOST.input_tokens, MOST.output_tokens))
"""The most that an answer costs by batch."""


def bill(desk: Desk) -> Fraction:
    """What the vendor bills, whether its replies tell it or not."""
    told = [usage(body.encode()) for body in desk.billed.elements()]
    return Fraction(1, 2) * PRICES.tokens(sum(map(Told.of, told), Told()))


def known(desk: Desk) -> tuple[Fraction, int]:
    """What its replies tell of that, and how many do not."""
    replies = [used(body.encode(), True) for body in desk.billed.elements()]
    told = sum((one.batched for one in replies), Told())
    return Fraction(1, 2) * PRICES.tokens(told), len(replies) - told.answers


@pytest.mark.parametrize("mute", [False, True])
def test_wherever_a_process_dies_no_bill_is_larger_than_it_may_be(tmp_path: Path, mute: bool) -> None:
    money = Budget(money=float(2 * TOTAL * WORST), prices=PRICES, batch_discount=0.5)
    death = 1
    while True:
        run = Run(tmp_path / str(death), Desk(mute=float(mute)), money, dies_at=death)
        with suppress(Death):
            run.finish(pieces())
            assert run.steps < death
            break
        spent = Spent.from_json(Ledger(money, run.folder / "ledger.json").as_json())
        assert bill(run.desk) <= money.cost(spent) <= exact(2 * TOTAL * float(WORST))
        run.dies_at = None
        run.finish(pieces())
        run.now += 2 * APPEARS_SECONDS
        run.finish(pieces())
        found = Ledger(money, run.folder / "ledger.json")
        told, silent = known(run.desk)
        assert (found.billed, found.price) == (float(told), float(told + silent * WORST))
        death += 1
    assert death > 60


def test_a_whole_job_is_reserved_before_it_is_submitted(tmp_path: Path) -> None:
    budget = Budget(money=float(7 * WORST), prices=PRICES, batch_discount=0.5)
    run = Run(tmp_path, Desk(looks=10**9), budget)
    client = run.client()
    lines = [request for piece in pieces() for request in compose(piece)]
    assert client.ledger.remaining_by_batch(lambda queries: queries) == 7
    with pytest.raises(BudgetExhausted):
        client.ask(pieces(), compose)
    assert len(lines) == TOTAL
    assert [len(job["items"]) for job in run.desk.jobs.values()] == [7]
    assert client.ledger.price == float(7 * WORST)
    client.journal.store.close()
