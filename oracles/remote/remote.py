"""A classifier behind HTTP or gRPC, as an oracle."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from oracles.errors import AnswerError, OracleChanged, OracleError, OracleUnavailable, ReplyMisformed, Unanswered
from oracles.oracle import Answers, Feedback, OracleSpec
from oracles.remote.batch_limit import BatchLimit
from oracles.remote.circuit_breaker import CircuitBreaker
from oracles.remote.failures import of_status
from oracles.remote.image_encoding import in_range
from oracles.remote.limits import ClientLimits
from oracles.remote.messages import Reply, Request
from oracles.remote.polling import Polled, awaited
from oracles.remote.rate_limiter import RateLimiter
from oracles.remote.score_unit import UNIT
from oracles.remote.server_words import is_json, server_words
from oracles.remote.transport import Transport
from oracles.remote.wire_protocol import Parsed, TellingUsage, WireProtocol
from oracles.traffic import Traffic
from oracles.usage import NO_USAGE, Metered

if TYPE_CHECKING:
    from torch import Tensor

    from oracles.remote.batches.endpoint import BatchEndpoint
    from oracles.remote.grpc.transport import GrpcTransport
    from oracles.remote.small_images import SmallImages

GRACE_SECONDS = 3.0
"""What is under way at an interrupt has so long to come back, since it is paid for."""

BACKEND = "backend"
"""Field of a model's identity that says which machines answered."""

_LONGEST = 200
"""Characters that a model's name, version or digest may have in files and errors."""


class RemoteOracle:
    """Asks a classifier over HTTP or gRPC. One query is one request; nothing is repeated, charged or recorded here.

    Args:
        protocol: how images become a request, and a reply answers.
        transport: how it gets there.
        limits: limits.

    Attributes:
        protocol: as given.
        spec: of the protocol's oracle; its identity grows with what replies say.
        transport: as given.
        limits: as given.
        breaker: of all who ask it.
        limiter: of all who ask it.
        batch_limit: of all who ask it.
        batches: the vendor's batch interface, None where it has none.
        small: what the service says of small images, None where it says nothing.
        upscale: pixels of a picture, in either direction, that show one of an image.
        max_output_tokens: that an answer may have, as requests ask for, None where they do not.
    """

    def __init__(self, protocol: WireProtocol, transport: Transport | GrpcTransport, limits: ClientLimits) -> None:
        """Nothing is asked yet."""
        self.protocol = protocol
        self._polled = protocol if isinstance(protocol, Polled) else None
        self._telling = protocol if isinstance(protocol, TellingUsage) else None
        self._clips: bool = getattr(protocol, "clips", False)
        self._statuses: tuple[int, ...] = getattr(protocol, "statuses", (200,))
        self._identity: dict[str, str] = {}
        self._recognised: Mapping[str, str] | None = None
        self._lock = threading.Lock()
        self._grace: threading.Timer | None = None
        self.spec: OracleSpec = replace(protocol.spec, remote=True, identity=self._identity)
        self.transport, self.limits = transport, limits
        self.batches: BatchEndpoint | None = None
        self.small: SmallImages | None = None
        self.upscale = 1
        self.max_output_tokens: int | None = None
        self.spec.classes.clean = transport.secrets.strike  # a server may give back a key as a label
        self.breaker = CircuitBreaker(limits.patience_seconds)
        self.batch_limit = BatchLimit(self.spec.name, self._learned)
        self.limiter = RateLimiter(self.breaker, limits.concurrency, limits.seconds_between_requests)

    def query(self, images: Tensor) -> Answers:
        """Answer a batch. Floats outside [0, 1] are clipped.

        Raises:
            Unanswered: the server provably did not answer.
            AnswerLost: nobody knows whether it did.
            AnswerError: its reply is no answer.
            QuestionRejected: it finds fault with the request.
            OracleChanged: another model answered than before.
            OracleUnavailable: no request can succeed.
        """
        self.spec.check(images)
        request = self.protocol.request(images if self._clips else in_range(images))
        reply = self._answer(self.transport.send(request))
        try:
            parsed = self._parse(request, reply, len(images))
            if parsed.identifier not in ("", request.identifier):
                raise AnswerError(f"{request.url} answered another question than the one that was asked")
        except OracleError as error:
            if not isinstance(error, Unanswered):  # it was paid for
                self.transport.traffic.told(self._metered(reply, len(images), answered=False))
            raise
        self.transport.traffic.told(self._metered(reply, len(images)))
        self._recognise(parsed.identity)
        return parsed.answers

    def composed(self, image: Tensor) -> Request:
        """The request that would ask about one image (1, C, H, W), as `query` does; nothing is sent."""
        self.spec.check(image)
        return self.protocol.request(in_range(image))

    def understood(self, body: bytes) -> Answers:
        """The answer in the body of a reply about one image that came by a batch; errors as of `query`.

        Which back end answered is left out of what replies say of the model: jobs run on others than single requests.

        Args:
            body: of the reply.
        """
        parsed = self._parse(Request("POST", f"a batch of {self.spec.name}"), Reply(200, body=body), 1)
        self._recognise({name: value for name, value in parsed.identity.items() if name != BACKEND})
        return parsed.answers

    def used(self, body: bytes, *, answered: bool) -> Metered:
        """What the body of a reply about one image that came by a batch tells of its tokens; nothing is counted.

        Args:
            body: of the reply.
            answered: whether it holds an answer.
        """
        return self._metered(Reply(200, body=body), 1, answered=answered).by_batch()

    def _metered(self, reply: Reply, images: int, *, answered: bool = True) -> Metered:
        """The tokens that a reply tells of."""
        if self._telling is None or reply.status not in self._statuses:
            return NO_USAGE
        usage = self._telling.usage(reply)
        return NO_USAGE if usage is None else Metered.of(usage, images, answered=answered)

    def note_on_size(self, shape: tuple[int, int, int]) -> tuple[str, bool]:
        """What to know before images of a shape (C, H, W) are asked about, and whether the service refuses them."""
        _, height, width = shape
        note = "" if self.small is None else self.small.note(height * self.upscale, width * self.upscale)
        return note, bool(note) and self.small is not None and self.small.refused

    @property
    def server(self) -> RemoteOracle:
        """Itself, see `oracles.capabilities.Server`."""
        return self

    @property
    def example_shape(self) -> tuple[int, int, int] | None:
        """Shape of images to try it with, as far as the server tells it; None where its protocol looks at none."""
        shape: tuple[int, int, int] | None = getattr(self.protocol, "example_shape", None)
        return shape

    def interrupt(self) -> None:
        """Ask no more: who waits to ask gives up at once, and what is under way has `GRACE_SECONDS` to come back."""
        self.breaker.trip(OracleUnavailable(f"nothing more is asked of {self.spec.name}: interrupted"))
        self._grace = threading.Timer(GRACE_SECONDS, self.transport.cut)
        self._grace.daemon = True
        self._grace.start()

    def begin(self, traffic: Traffic) -> None:
        """Let a run ask, also after one that was ended; what goes over the wire is counted in `traffic`."""
        if self._grace is not None:
            self._grace.cancel()
        self.breaker.reset()
        self.transport.traffic = traffic
        if traffic.batch_limit is not None:
            self.batch_limit.largest = traffic.batch_limit
        elif self.batch_limit.largest is not None:
            traffic.batch_limit = self.batch_limit.largest

    def report(self) -> tuple[dict[str, str], dict[str, Any]]:
        """Identity of the model, and the traffic since the last report; for `relay` in another process."""
        return dict(self.spec.identity), self.transport.traffic.taken()

    def relay(self, identity: Mapping[str, str], traffic: Mapping[str, Any]) -> None:
        """Take over what the same oracle in another process has reported.

        Raises:
            OracleChanged: another model answered there than here.
        """
        if traffic:
            self.transport.traffic.add(traffic)
        self._recognise(identity)

    def _learned(self, largest: int) -> None:
        self.transport.traffic.batch_limit = largest

    def _answer(self, reply: Reply) -> Reply:
        """The reply that holds the answer, which may have to be waited for."""
        if self._polled is None or reply.status not in self._statuses:
            return reply
        try:
            return awaited(
                self._polled,
                reply,
                send=self.transport.send,
                breaker=self.breaker,
                seconds=self.limits.total_seconds,
            )
        except OracleError as error:
            raise self.transport.secrets.clean(error) from None

    def _parse(self, request: Request, reply: Reply, images: int) -> Parsed:
        """Parse what the reply says. Errors quote replies, so they are about one without secrets."""
        secrets = self.transport.secrets
        if reply.status not in self._statuses:
            raise secrets.clean(of_status(reply, request.url))
        try:
            return self.protocol.parse(reply, images=images)
        except OracleError:
            reply = replace(reply, body=secrets.strike_bytes(reply.body))
        try:
            self.protocol.parse(reply, images=images)
        except OracleError as error:
            failure = _with_words(error, reply)
        else:
            failure = AnswerError(f"{request.url}: the reply cannot be understood")
        raise secrets.clean(failure)

    def _recognise(self, identity: Mapping[str, str]) -> None:
        """Hold what a reply says of the model against what earlier ones said."""
        if identity == self._recognised:
            return
        with self._lock:
            for name, value in identity.items():
                text = _shortened(self.transport.secrets.strike(value))
                known = self._identity.setdefault(name, text)
                if name == UNIT and self.spec.feedback != text:
                    self.spec = replace(self.spec, feedback=Feedback(text))
                if known != text:
                    raise OracleChanged(
                        f"the model behind {self.spec.name} was changed: its {name} was {known!r} and is {text!r} now"
                    )
            self._recognised = dict(identity)


def _with_words(error: OracleError, reply: Reply) -> OracleError:
    """The error with what the server itself says, where a reply of status 200 holds an error."""
    if not isinstance(error, AnswerError) or not is_json(reply.body):
        return error
    words = server_words(reply.body)
    return ReplyMisformed(f"the server says {words!r}; {error}" if words and words not in str(error) else str(error))


def _shortened(text: str) -> str:
    """Return what a model says of itself, in a length that files and errors bear; two texts stay two."""
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]}... (SHA-256 {hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()})"
