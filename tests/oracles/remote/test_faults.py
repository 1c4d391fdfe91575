"""Certification through a server that does everything wrong: budget, record and certificates stay right."""

from __future__ import annotations

import json
import math
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tenacity import wait_random

from bbsmooth.assemble import charged
from bbsmooth.certification import Verdict
from oracles import (
    Budget,
    BudgetExhausted,
    Feedback,
    FunctionOracle,
    Ledger,
    Oracle,
    OracleError,
    OracleUnavailable,
    Purpose,
    ResponseStore,
)
from oracles.capabilities import interruption
from oracles.oracle import Classes
from oracles.remote import retrying
from oracles.remote.failures import LONGEST_RETRY_AFTER
from oracles.remote.limits import ClientLimits
from oracles.remote.remote import RemoteOracle
from tests import killed_child
from tests.builders import CheckedSource, by_the_book, pictures, verdicts, vote_source
from tests.children import KILLED, Children
from tests.oracles.remote import child
from tests.oracles.remote.child import PLAN
from tests.oracles.remote.misbehaving import Call, Fault, MisbehavingServer, plane
from tests.oracles.remote.misbehaving_grpc import GrpcCall, GrpcFault, MisbehavingGrpcServer
from tests.oracles.remote.plain import IMPATIENT, PATIENT
from tests.oracles.remote.wires import WIRES, Wire, opened
from tests.waiting import LONG, until

TERMS = replace(PATIENT, attempts=25, concurrency=6)
Server = MisbehavingServer | MisbehavingGrpcServer

IN_A_HURRY = replace(IMPATIENT, attempts=25, concurrency=6)


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest) -> Wire:
    """Each wire in turn."""
    return WIRES[request.param]


@pytest.fixture
def server(wire: Wire) -> Iterator[Server]:
    """A server that behaves until it is told otherwise."""
    with wire.serve() as running:
        yield running


@pytest.fixture(autouse=True)
def short_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "_BACK_OFF", wait_random(0, 0.002))


def in_process() -> Oracle:
    """The classifier of the server, without the server."""
    return FunctionOracle(
        lambda array: plane(np.clip(array, 0, 1)),
        name="plain",
        fingerprint="00",
        classes=Classes.numbered(2),
        feedback=Feedback.PROBABILITIES,
    )


def truth(count: int, seed: int, folder: Path) -> list[tuple[int, Verdict]]:
    """What certification finds where nothing goes wrong, image by image."""
    with closing(ResponseStore(folder)) as store:
        source = vote_source(in_process(), store, seed=seed)
        images = enumerate(pictures(count, seed=seed))
        return [(index, by_the_book(image, source, in_process(), PLAN)) for index, image in images]


@dataclass
class Chaos:
    """Faults at random, and an eye on the ledger at each request.

    Attributes:
        wire: whose faults they are.
        ledger: the file of the run.
        rates: share of requests with quick, slow and final faults.
        seed: of the chance.
        faults: how many there were, by kind.
        overdrawn: moments at which less was charged than answered.
    """

    wire: Wire
    ledger: Path
    rates: tuple[float, float, float]
    seed: int = 1
    faults: Counter[str] = field(default_factory=Counter)
    overdrawn: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)

    def __call__(self, call: Call | GrpcCall) -> Fault | GrpcFault | None:
        """Sometimes a fault."""
        with self._lock:
            answered = call.server.answered.total() + len(call.question()["ids"])
            self.overdrawn += self._charged() < answered
            kinds = (self.wire.quick, self.wire.slow, self.wire.final)
            for kind, faults, rate in zip("qsf", kinds, self.rates, strict=True):
                if self._chance.random() < rate:
                    self.faults[kind] += 1
                    return self._chance.choice(faults)
            return None

    def _charged(self) -> int:
        """What the ledger's file says, read again where it was being overwritten just then."""
        while True:
            with suppress(ValueError):
                return int(json.loads(self.ledger.read_text())["spent_total"])


def remote_source(
    oracle: RemoteOracle, store: ResponseStore, ledger: Ledger, seed: int, told: set[tuple[bytes, int]]
) -> CheckedSource:
    """Votes over the wire; fails where a draw on record is asked about again."""
    purposes = (Purpose.SELECT, Purpose.ESTIMATE)
    return replace(
        vote_source(oracle, store, seed=seed),
        oracles={purpose: charged(oracle, ledger, purpose) for purpose in purposes},
        interrupt=interruption(oracle),
        told=told,
    )


def kind(error: OracleError) -> str:
    """What an error is, if it says one line."""
    return type(error).__name__ if len(str(error).splitlines()) == 1 else "more than a line"


def certify_through(
    server: Server,
    folder: Path,
    *,
    count: int,
    seed: int,
    budgets: Iterator[int | None],
    limits: ClientLimits = TERMS,
) -> tuple[list[tuple[int, Verdict]], Counter[str]]:
    """Certify, go on after each end that can be gone on from, with the next budget; what was found, and the ends."""
    told, ends = set[tuple[bytes, int]](), Counter[str]()
    while True:
        oracle, found = opened(server, limits), list[tuple[int, Verdict]]()
        budget = next(budgets)
        ledger = Ledger(Budget(queries=budget), folder / "ledger.json")
        ledger.save()
        with closing(ResponseStore(folder / "responses")) as store:
            source = remote_source(oracle, store, ledger, seed, told)
            try:
                for each in verdicts(
                    pictures(count, seed=seed),
                    source,
                    plan=PLAN,
                    batch_size=3,
                    concurrency=6,
                    remaining=lambda ledger=ledger: ledger.remaining,  # type: ignore[misc]
                ):
                    found.append(each)
                return found, ends
            except OracleError as error:
                ends[kind(error)] += 1
        oracle.transport.close()
        if budget is not None:
            assert server.answered.total() <= Ledger(Budget(), folder / "ledger.json").total <= budget


@pytest.mark.parametrize(
    ("images", "rates", "faults"),
    [
        (12, (0.3, 0.005, 0.01), 25),
        pytest.param(1_400, (0.45, 0.005, 0.002), 10_000, marks=[pytest.mark.slow, pytest.mark.timeout(1_800)]),
    ],
    ids=["quick", "ten thousand faults"],
)
def test_random_faults_change_no_certificate_and_cost_no_query_too_much(
    tmp_path: Path, wire: Wire, images: int, rates: tuple[float, float, float], faults: int
) -> None:
    chaos = Chaos(wire, tmp_path / "ledger.json", rates)
    budgets = iter([150, 300, *range(1_000, 10**9, 3_000)])
    with wire.serve(misbehave=chaos) as server:
        found, ends = certify_through(server, tmp_path, count=images, seed=3, budgets=budgets, limits=IN_A_HURRY)
        ledger = Ledger(Budget(), tmp_path / "ledger.json")
    assert found == truth(images, 3, tmp_path / "truth")
    assert chaos.overdrawn == 0
    assert chaos.faults.total() > faults
    assert {"BudgetExhausted", "OracleUnavailable"} <= ends.keys()
    assert "more than a line" not in ends
    assert server.answered.total() <= ledger.total
    assert ledger.attempts >= server.calls
    assert ledger.traffic.retries > 0


def test_without_faults_exactly_what_is_needed_is_charged_and_answered(tmp_path: Path, server: Server) -> None:
    found, ends = certify_through(server, tmp_path, count=10, seed=4, budgets=iter([10 * PLAN.queries]))
    ledger = Ledger(Budget(), tmp_path / "ledger.json")
    assert found == truth(10, 4, tmp_path / "truth")
    assert not ends
    assert ledger.total == server.answered.total() == 10 * PLAN.queries
    assert set(server.answered.values()) == {1}
    assert ledger.attempts == server.calls
    assert ledger.traffic.retries == 0


def test_what_was_turned_away_is_refunded_and_nothing_else(tmp_path: Path, wire: Wire, server: Server) -> None:
    chance = random.Random(5)
    server.misbehave = lambda call: chance.choice([None, *wire.turned_away])
    certify_through(server, tmp_path, count=10, seed=4, budgets=iter([None]))
    ledger = Ledger(Budget(), tmp_path / "ledger.json")
    assert ledger.total == server.answered.total()
    assert ledger.attempts == server.calls > server.answered.total() / 3
    assert ledger.traffic.retries > 0


def test_one_image_that_a_server_never_answers_ends_no_run(tmp_path: Path, wire: Wire, server: Server) -> None:
    """A batch with a poisoned image fails with 500 each time; the others in it are answered all the same."""
    poison = list[str]()

    def misbehave(call: Any) -> Any:
        names = call.question()["ids"]
        if server.calls == 20:
            poison.append(names[0])
        return wire.fails if set(poison) & set(names) else None

    server.misbehave = misbehave
    found, ends = certify_through(server, tmp_path, count=6, seed=4, budgets=iter([None]))
    right = truth(6, 4, tmp_path / "truth")
    assert not ends
    assert len(poison) == 1
    assert sum(verdict != other for verdict, other in zip(found, right, strict=True)) == 1
    assert Ledger(Budget(), tmp_path / "ledger.json").spent[Purpose.DRIFT] > 0


def test_a_limit_on_requests_is_not_exceeded_by_one(tmp_path: Path, wire: Wire, server: Server) -> None:
    chance = random.Random(6)
    server.misbehave = lambda call: chance.choice([None, wire.fails, wire.turned_away[0], wire.resets])
    ledger = Ledger(Budget(attempts=50), tmp_path / "ledger.json")
    oracle = opened(server, TERMS)
    with closing(ResponseStore(tmp_path / "responses")) as store:
        source = remote_source(oracle, store, ledger, 4, set())
        with pytest.raises(BudgetExhausted, match="1 more requests to .* do not fit, 0 are left"):
            list(verdicts(pictures(20, seed=4), source, plan=PLAN, batch_size=2, concurrency=6))
    assert server.calls <= ledger.attempts == 50


def test_a_server_that_stays_away_ends_the_run_for_all_threads(tmp_path: Path, wire: Wire, server: Server) -> None:
    away, said = wire.away
    server.misbehave = lambda call: away if server.calls > 10 else None
    limits = replace(TERMS, patience_seconds=0.3)
    ledger, oracle = Ledger(Budget(queries=10_000), tmp_path / "ledger.json"), opened(server, limits)
    with closing(ResponseStore(tmp_path / "responses")) as store:
        source = remote_source(oracle, store, ledger, 4, set())
        with pytest.raises(OracleUnavailable, match=f"nothing was answered for .* seconds; at last: .* {said}"):
            list(verdicts(pictures(20, seed=4), source, plan=PLAN, batch_size=2, concurrency=6))
    assert ledger.total == server.answered.total()


@pytest.mark.parametrize("told", [True, False], ids=["told to wait", "no answer"])
def test_an_interrupt_is_not_held_up(
    tmp_path: Path, wire: Wire, server: Server, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    fault = wire.long_wait(LONGEST_RETRY_AFTER) if told else wire.waits
    monkeypatch.setattr("oracles.remote.remote.GRACE_SECONDS", 0.2)
    server.misbehave = lambda call: fault if server.calls > 10 else None
    limits = ClientLimits(concurrency=6, read_seconds=LONG, total_seconds=LONG)
    ledger, oracle = Ledger(Budget(), tmp_path / "ledger.json"), opened(server, limits)

    def interrupt() -> None:
        until(lambda: server.calls > 10)
        time.sleep(0.1)
        signal.pthread_kill(main, signal.SIGINT)

    main = threading.get_ident()
    threading.Thread(target=interrupt, daemon=True).start()
    began = time.monotonic()
    with closing(ResponseStore(tmp_path / "responses")) as store:
        source = remote_source(oracle, store, ledger, 4, set())
        with pytest.raises(KeyboardInterrupt):
            list(verdicts(pictures(20, seed=4), source, plan=PLAN, batch_size=2, concurrency=6))
    assert time.monotonic() - began < 100  # some threads were about to wait for longer


@pytest.mark.parametrize(
    ("wire", "kills"),
    [("http", 5), ("grpc", 2), *(pytest.param(name, 60, marks=pytest.mark.slow) for name in WIRES)],
    indirect=["wire"],
)
def test_a_killed_process_pays_for_nothing_twice_that_is_on_record(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, kills: int
) -> None:
    monkeypatch.setenv(child.URL, server.url)
    chance, hits, world = random.Random(7), 0, 0
    with Children(child.__name__) as children:
        while hits < kills:
            folder = tmp_path / f"world{world}"
            folder.mkdir()
            server.answered.clear()
            hits += survive(folder, world, server, children, chance, most=kills - hits)
            world += 1


def survive(folder: Path, seed: int, server: Server, children: Children, chance: random.Random, *, most: int) -> int:
    """Kill one certification again and again, up to `most` times, let it end, and count the kills."""
    hits, status, queries = 0, KILLED, child.IMAGES * PLAN.queries
    while status == KILLED:
        kill_after = chance.uniform(0.05, 0.4) if hits < most else math.inf
        status = children.ended(f"{folder} {seed} {100 * queries} {kill_after}")
        hits += status == KILLED
        charged_now = Ledger(Budget(), folder / "ledger.json").total if (folder / "ledger.json").exists() else 0
        in_flight = hits * child.CONCURRENCY * child.BATCH_SIZE
        assert server.answered.total() <= charged_now
        assert charged_now - len(server.answered) <= in_flight
        assert max(server.answered.values(), default=0) <= 1 + hits
    assert status == killed_child.DONE, (folder / "error").read_text()
    assert (folder / "verdicts").read_text().splitlines() == [
        repr(each) for each in truth(child.IMAGES, seed, folder / "x")
    ]
    return hits
