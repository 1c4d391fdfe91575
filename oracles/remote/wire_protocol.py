"""Protocols of the wire: how images become a request, and a response answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from oracles.oracle import Answers, OracleSpec
from oracles.remote.messages import Reply, Request
from oracles.usage import Usage

if TYPE_CHECKING:
    from torch import Tensor

Send = Callable[[Request], Reply]
"""Sends a request that carries no image, such as one for metadata, and returns whatever reply comes.

Raises:
    OracleUnavailable: there is none.
"""


@dataclass(frozen=True, slots=True)
class Parsed:
    """Contents of a reply.

    Attributes:
        answers: one an image.
        identity: whatever the reply says of the model that gave them (name, version, digest), by field. A value that
            differs from an earlier reply's means that the model was changed.
        identifier: of the request that it says it answers; the answers are another's where it is not empty and differs
            from the request's.
    """

    answers: Answers
    identity: Mapping[str, str] = field(default_factory=dict)
    identifier: str = ""


class WireProtocol(Protocol):
    """One way of asking a classifier over HTTP. Pure: nothing is sent here, and equal images give equal requests.

    One that clips images to [0, 1] itself may say so by an attribute `clips`, and is given them as they are.
    """

    @property
    def spec(self) -> OracleSpec:
        """Spec of the oracle behind it; its fingerprint covers address, protocol, encoding and labels, no secrets."""
        ...

    @property
    def encoding(self) -> str:
        """Change of an image on its way, for people: "FP32 tensor", "PNG", "JPEG of quality 90 (lossy)"."""
        ...

    def request(self, images: Tensor) -> Request:
        """The request that asks about images (B, C, H, W), uint8 or floats in [0, 1]; B is at most `spec.max_batch`."""
        ...

    def parse(self, reply: Reply, *, images: int) -> Parsed:
        """The answers in a reply of status 200.

        Raises:
            Unanswered: the reply says that nothing was classified, and to come back later (a throttle inside a 200).
            AnswerError: it holds no usable answer for each of the `images`.
            ImageRefused: it is well formed, but names none of the labels for an image.
            OracleUnavailable: it says that the request can never be served (credentials, no such model).
        """
        ...


@runtime_checkable
class TellingUsage(Protocol):
    """A protocol whose replies tell what they cost, also those that hold no answer."""

    def usage(self, reply: Reply) -> Usage | None:
        """The tokens that a reply of status 200 says were read and written, None where it does not say."""
        ...
