"""The worker's own process: it opens the oracle, draws noise, and answers."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from bbsmooth.coordinator import CoordinatedOracle, Coordinator
from bbsmooth.engines.deferred import DeferredImages
from bbsmooth.engines.on_device import VoterOnDevice
from bbsmooth.engines.pool import Handshake
from bbsmooth.engines.replies import WorkerReply
from bbsmooth.memory import keep_memory
from bbsmooth.noise import on_device
from oracles import Answers, Oracle, OracleError, OracleSpec
from oracles.capabilities import Server, device_of, server_of
from oracles.errors import OracleUnavailable, Unanswered

_VALUES_AT_ONCE = 2**24
"""Pixel values of noisy images that are in memory at a time, however large a batch is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSpec:
    """Specification of a worker.

    Attributes:
        opening: opens the oracle.
        front: the coordinator in front of it and its parameters (P,), None for nothing.
        folder: which relative paths mean, if it is there.
        next_slot: takes the next slot of a rate limit that all workers share, and gives the seconds to wait for it;
            None where there is no limit.
    """

    opening: Callable[[], Oracle]
    front: tuple[Coordinator, Tensor] | None
    folder: Path
    next_slot: Callable[[], float] | None = None


class Answering:
    """The worker's side of `bbsmooth.engines.pool.Worker`."""

    def __init__(self, spec: WorkerSpec) -> None:
        """Open the oracle; where it cannot be opened, that is said at the handshake."""
        keep_memory()
        with suppress(OSError):
            os.chdir(spec.folder)
        self._failure: OracleError | None = None
        try:
            self._bare = spec.opening()
        except OracleError as error:
            self._failure = error
            return
        asked, self._server = self._bare, server_of(self._bare)
        if self._server is not None and spec.next_slot is not None:
            asked = _RateLimited(asked, self._server, spec.next_slot)
        self._asked = asked
        self._device = device_of(self._bare)
        self._classifier = asked if spec.front is None else CoordinatedOracle(*spec.front, asked, self._device)

    def handshake(self) -> Handshake | OracleError:
        """Handshake with the oracle that it has opened, or the error that prevented it."""
        place = f"worker {os.getpid()} on {socket.gethostname()}"
        return self._failure or Handshake(self._bare.spec.fingerprint, place)

    def answer(self, images: Tensor, voting: bool) -> WorkerReply:
        """Answer as `bbsmooth.engines.pool.Worker.answer` says."""
        asked = self._classifier if voting else self._asked
        try:
            reply = WorkerReply.answered(self._ask(asked, images), asked.spec, scores=not voting)
        except OracleError as error:
            reply = WorkerReply(error=_alone(error))
        if self._server is not None:
            identity, traffic = self._server.report()
            reply = replace(reply, identity=identity, traffic=traffic)
        return reply

    def interrupt(self) -> None:
        """Let what waits give up."""
        if self._failure is None and self._server is not None:
            self._server.interrupt()

    def _ask(self, asked: Oracle, images: Tensor) -> Answers:
        """The answers, in one request of a remote oracle, else in pieces of limited size."""
        if self._device is not None and self._device.type not in on_device.BY_NUMPY:
            return VoterOnDevice(asked, self._device).query(images)
        if not isinstance(images, DeferredImages):
            return asked.query(images)
        most = max(1, _VALUES_AT_ONCE // images.shape[1:].numel())
        if self._server is not None:
            most = len(images)
        return Answers.join([asked.query(part) for part in images.drawn(most)])


@dataclass(frozen=True, slots=True)
class _RateLimited:
    """Waits for the rate limit of all workers, just before the request leaves."""

    oracle: Oracle
    server: Server
    next_slot: Callable[[], float]

    @property
    def spec(self) -> OracleSpec:
        return self.oracle.spec

    def query(self, images: Tensor) -> Answers:
        self.oracle.spec.check(images)
        try:
            self.server.breaker.sleep(self.next_slot())
        except OracleUnavailable as error:  # interrupted
            raise Unanswered(str(error)) from None
        return self.oracle.query(images)


def _alone(error: OracleError) -> OracleError:
    """An error without what led to it, which may not be fit to travel."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
