"""An oracle whose questions are answered by workers, and asking another worker where one is lost."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from bbsmooth.engines.pool import WorkerLost, WorkerPool
from oracles import Answers, Feedback, Oracle, OracleSpec
from oracles.capabilities import Server, interruption, server_of

MOST_LOST = 8
"""Workers lost over one question that end a run: the question may be what kills them."""


@dataclass(frozen=True, slots=True)
class PooledOracle:
    """Puts each question to one worker. Charging, recording, pacing and repeating stand around it, in this process.

    Args:
        pool: of workers.
        home: the same oracle, as this process has opened it; never asked.
        opened: specification of what the workers ask, as it was when they were opened.
        voting: whether that is the smoothed classifier, of which only labels come back, or else the bare oracle.
    """

    pool: WorkerPool
    home: Oracle
    opened: OracleSpec
    voting: bool = False

    @property
    def spec(self) -> OracleSpec:
        """Of what the workers ask, with the unit of scores that the server's replies to them have told."""
        feedback = self.home.spec.feedback
        if self.voting or self.opened.feedback is feedback:
            return self.opened
        return replace(self.opened, feedback=feedback)

    def voter(self, classifier: Oracle) -> PooledOracle:
        """The same for votes of `classifier`, which the workers have in front of the oracle.

        Its answers are labels: votes need no more, and scores would be nearly all that travels.
        """
        return replace(self, opened=replace(classifier.spec, feedback=Feedback.LABELS), voting=True)

    def query(self, images: Tensor) -> Answers:
        """Answer a batch.

        Raises:
            WorkerLost: the worker that was asked is gone.
            Unanswered: nobody was asked, since asking was interrupted.
            OracleError: what the oracle raised.
        """
        self.spec.check(images)
        reply = self.pool.ask(images, voting=self.voting)
        if self.server is not None:
            self.server.relay(reply.identity, reply.traffic)
        return reply.answers(self.spec)

    @property
    def server(self) -> Server | None:
        """The server that the workers ask, None where they answer themselves."""
        return server_of(self.home)

    def interrupt(self) -> None:
        """Let nobody ask any more, and what waits give up."""
        interruption(self.home)()
        self.pool.interrupt()


@dataclass(frozen=True, slots=True)
class FailoverOracle:
    """Puts a question to another worker where one was lost with it.

    It belongs outside whatever charges: nobody knows whether the lost worker had an answer and who has counted it, so
    what was under way stays charged, and asking again is charged again.
    """

    oracle: Oracle

    @property
    def spec(self) -> OracleSpec:
        """As inside."""
        return self.oracle.spec

    def query(self, images: Tensor) -> Answers:
        """Answer a batch. Raises `WorkerLost` where `MOST_LOST` workers were lost with it."""
        for _ in range(MOST_LOST - 1):
            try:
                return self.oracle.query(images)
            except WorkerLost:
                continue
        return self.oracle.query(images)
