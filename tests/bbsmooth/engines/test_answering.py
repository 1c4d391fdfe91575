import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bbsmooth.certification import Draws
from bbsmooth.engines import answering
from bbsmooth.engines.answering import Answering, WorkerSpec
from bbsmooth.engines.deferred import DeferredImages
from bbsmooth.engines.pool import Handshake, WorkerPool
from bbsmooth.engines.pooled import PooledOracle
from bbsmooth.engines.replies import WorkerReply
from bbsmooth.noise import Gaussian, Grid, NoisyCopies
from oracles import Feedback, Oracle, OracleChanged, SpecError, Unanswered
from oracles.remote.score_unit import UNIT
from tests.builders import WatchedOracle, halfspace, pictures
from tests.oracles.remote.misbehaving import SHAPE, MisbehavingServer
from tests.oracles.remote.plain import plain_oracle
from tests.waiting import LONG

COPIES = NoisyCopies(noise=Gaussian(0.5), grid=Grid(1), seed=1)


def setting(opening: Callable[[], Oracle], next_slot: Callable[[], float] | None = None) -> WorkerSpec:
    return WorkerSpec(opening=opening, front=None, folder=Path.cwd(), next_slot=next_slot)


def deferred(count: int, *, shape: tuple[int, ...] = (1, 4, 4)) -> DeferredImages:
    image = torch.full(shape, 100, dtype=torch.uint8)
    return DeferredImages.of(COPIES, (Draws(image, COPIES.stream(image, "estimate"), 3, count),), torch.float32)


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    with MisbehavingServer().running() as running:
        yield running


def test_it_says_which_oracle_it_has_opened_or_why_not() -> None:
    handshake = Answering(setting(halfspace)).handshake()
    assert isinstance(handshake, Handshake)
    assert handshake.fingerprint == halfspace().spec.fingerprint

    def missing() -> Oracle:
        raise SpecError("no such file")

    assert isinstance(Answering(setting(missing)).handshake(), SpecError)


def test_a_large_batch_is_drawn_in_pieces_and_comes_back_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = WatchedOracle(halfspace())
    monkeypatch.setattr(answering, "_VALUES_AT_ONCE", 10 * 16)
    images = deferred(25)
    reply = Answering(setting(lambda: watched)).answer(images, voting=True)
    assert watched.batches == [10, 10, 5]
    assert reply.labels.tolist() == halfspace().query(images.clone()).labels.tolist()
    assert reply.scores is None


def test_an_error_of_the_oracle_is_an_answer() -> None:
    reply = Answering(setting(halfspace)).answer(pictures(2, seed=1)[:, :, :2], voting=False)
    assert "needs images of shape" in str(reply.error)


def test_a_remote_oracle_is_asked_once_in_its_turn(server: MisbehavingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = plain_oracle(server)
    waits = list[float]()
    monkeypatch.setattr(remote.breaker, "sleep", waits.append)
    monkeypatch.setattr(answering, "_VALUES_AT_ONCE", 1)
    worker = Answering(setting(lambda: remote, next_slot=lambda: 2.5))
    reply = worker.answer(deferred(7, shape=SHAPE), voting=True)
    assert reply.error is None
    assert len(reply.labels) == 7
    assert waits == [2.5]
    assert reply.traffic["bytes_sent"] > 0
    assert worker.answer(deferred(1, shape=SHAPE), voting=True).traffic["bytes_sent"] < reply.traffic["bytes_sent"]


def test_what_waits_for_its_turn_at_an_interrupt_was_not_asked(server: MisbehavingServer) -> None:
    remote, waiting = plain_oracle(server), threading.Event()

    def turn() -> float:
        waiting.set()
        return 1_000.0

    worker = Answering(setting(lambda: remote, next_slot=turn))

    def interrupt() -> None:
        assert waiting.wait(LONG)
        worker.interrupt()

    thread = threading.Thread(target=interrupt)
    thread.start()
    reply = worker.answer(deferred(3, shape=SHAPE), voting=True)
    thread.join()
    assert isinstance(reply.error, Unanswered)
    assert reply.traffic["bytes_sent"] == 0


class Fresh:
    """A worker in this process that has met no model before, each time that it is asked."""

    def __init__(self, opening: Callable[[], Oracle]) -> None:
        self._setting = setting(opening)

    def handshake(self, unwanted: Callable[[], bool]) -> Handshake:
        found = Answering(self._setting).handshake()
        assert isinstance(found, Handshake)
        return found

    def answer(self, images: Tensor, voting: bool) -> WorkerReply:
        return Answering(self._setting).answer(images, voting)

    def interrupt(self) -> None:
        """Nothing waits."""


def test_workers_that_meet_two_models_are_found_out(server: MisbehavingServer) -> None:
    home = plain_oracle(server)
    pool = WorkerPool(
        lambda: Fresh(lambda: plain_oracle(server)), workers=1, slots=1, fingerprint=home.spec.fingerprint
    )
    pool.open()
    oracle, images = PooledOracle(pool, home, home.spec), pictures(2, seed=1)
    assert len(oracle.query(images)) == 2
    assert home.transport.traffic.sent > 0
    server.model = "2"
    with pytest.raises(OracleChanged, match="'1' and is '2' now"):
        oracle.query(images)
    pool.close()


def test_the_unit_of_scores_that_workers_are_told_is_known_here(server: MisbehavingServer) -> None:
    home = plain_oracle(server)
    begun = home.spec.feedback

    class Told(Fresh):
        def answer(self, images: Tensor, voting: bool) -> WorkerReply:
            reply = super().answer(images, voting)
            return replace(reply, identity={**reply.identity, UNIT: "logits"})

    pool = WorkerPool(lambda: Told(lambda: plain_oracle(server)), workers=1, slots=1, fingerprint=home.spec.fingerprint)
    pool.open()
    oracle = PooledOracle(pool, home, home.spec)
    voter = oracle.voter(home)
    oracle.query(pictures(2, seed=1))
    assert (begun, home.spec.feedback, oracle.spec.feedback, voter.spec.feedback) == (
        *(Feedback.PROBABILITIES, Feedback.LOGITS, Feedback.LOGITS, Feedback.LABELS),
    )
    pool.close()
