"""Abilities of some oracles besides answering: nobody above them needs to know which class they are of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from oracles.oracle import Oracle, OracleSpec

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from oracles.oracle import Answers
    from oracles.remote.batch_limit import BatchLimit
    from oracles.remote.batches.endpoint import BatchEndpoint
    from oracles.remote.circuit_breaker import CircuitBreaker
    from oracles.remote.limits import ClientLimits
    from oracles.remote.messages import Request
    from oracles.remote.rate_limiter import RateLimiter
    from oracles.traffic import Traffic
    from oracles.usage import Metered


class Server(Protocol):
    """The client of a server, shared by all who ask it."""

    @property
    def spec(self) -> OracleSpec:
        """The specification of the oracle behind it."""
        ...

    @property
    def limits(self) -> ClientLimits:
        """Rate, patience and price."""
        ...

    @property
    def breaker(self) -> CircuitBreaker:
        """Opens where it keeps failing."""
        ...

    @property
    def limiter(self) -> RateLimiter:
        """Lets requests begin."""
        ...

    @property
    def batch_limit(self) -> BatchLimit:
        """The most images that it takes at once, as far as that was learned."""
        ...

    @property
    def max_output_tokens(self) -> int | None:
        """Tokens that an answer may have, as requests ask for, None where they do not."""
        ...

    @property
    def example_shape(self) -> tuple[int, int, int] | None:
        """Shape of images to try it with, as far as the server tells it."""
        ...

    def note_on_size(self, shape: tuple[int, int, int]) -> tuple[str, bool]:
        """What to know before images of a shape (C, H, W) are asked about, and whether the service refuses them."""
        ...

    def composed(self, image: Tensor) -> Request:
        """The request that would ask about one image (1, C, H, W); nothing is sent.

        Raises:
            ShapeError: no request can hold it.
            SpecError: the server was described for images of another kind.
        """
        ...

    def begin(self, traffic: Traffic) -> None:
        """Let a run ask; what goes over the wire is counted in `traffic`."""
        ...

    def interrupt(self) -> None:
        """Ask no more."""
        ...

    def report(self) -> tuple[dict[str, str], dict[str, Any]]:
        """Identity of the model, and the traffic since the last report; for `relay` in another process."""
        ...

    def relay(self, identity: Mapping[str, str], traffic: Mapping[str, Any]) -> None:
        """Take over what the same oracle in another process has reported."""
        ...


class Batching(Protocol):
    """An oracle whose vendor may have a batch interface."""

    @property
    def batches(self) -> BatchEndpoint | None:
        """The batch interface, None where there is none."""
        ...

    def composed(self, image: Tensor) -> Request:
        """The request that would ask about one image (1, C, H, W)."""
        ...

    def understood(self, body: bytes) -> Answers:
        """The answer in the body of a reply about one image."""
        ...

    def used(self, body: bytes, *, answered: bool) -> Metered:
        """The tokens that the body of a reply about one image tells of."""
        ...


@runtime_checkable
class Delegating(Protocol):
    """An oracle whose questions are answered elsewhere, where noise can be drawn and preprocessed too."""

    @property
    def home(self) -> Oracle:
        """The same oracle, as this process has opened it."""
        ...

    def voter(self, classifier: Oracle) -> Oracle:
        """The oracle that gives votes of `classifier`, which stands before the oracle elsewhere."""
        ...


def server_of(oracle: Oracle) -> Server | None:
    """The server that answers in the end, None for an oracle that answers here."""
    server: Server | None = getattr(oracle, "server", None)
    return server


def batching_of(oracle: Oracle) -> tuple[Batching, BatchEndpoint] | None:
    """The oracle with its batch interface, None where it has none."""
    endpoint: BatchEndpoint | None = getattr(oracle, "batches", None)
    return None if endpoint is None else (cast(Batching, oracle), endpoint)


def interruption(oracle: Oracle) -> Callable[[], None]:
    """A function after which calls of the oracle that wait give up at once; it does nothing where none waits."""
    interrupt: Callable[[], None] | None = getattr(oracle, "interrupt", None)
    return interrupt or (lambda: None)


def replicas_of(oracle: Oracle) -> Sequence[Oracle]:
    """Equal copies of it that answer calls side by side: it alone, unless it has some."""
    replicas: Sequence[Oracle] = getattr(oracle, "replicas", (oracle,))
    return replicas


def device_of(oracle: Oracle) -> torch.device | None:
    """The device where it computes and takes images from, None where that is not known: it takes them anywhere."""
    device: torch.device | None = getattr(oracle, "device", None)
    return device
