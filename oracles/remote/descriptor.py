"""The descriptor of a protocol: its name, its options, its key, and how to connect."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from oracles.errors import OracleUnavailable, SpecError
from oracles.oracle import MOST_CLASSES, Feedback, OracleSpec
from oracles.remote.labels import Labels
from oracles.remote.messages import Reply, Request
from oracles.remote.server_words import error_words
from oracles.remote.small_images import SmallImages
from oracles.remote.wire_protocol import Send, WireProtocol

if TYPE_CHECKING:
    from oracles.remote.batches.endpoint import BatchEndpoint

Own = TypeVar("Own")
ImageShape = tuple[int, int, int]

GRPC = ("grpc", "grpcs")
"""Schemes of addresses that are asked over gRPC, the latter with TLS."""

_SHOWN = 200
"""Characters of a server's refusal in an error message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonOptions:
    """Options that every protocol has.

    Attributes:
        labels: the server's labels, in its order.
        labels_file: the same in a file, one a line.
        num_classes: how many outputs the server has, where they have no names.
        label_map: from labels to the classes that they count as.
        image_shape: (channels, height, width) of the images that may be asked about.
        batch_size: most images in one request, if the protocol or the server does not set a lower limit.
        deterministic: whether the same image always gets the same answer.
        key_env: environment variable with the key; sent as a bearer token where the protocol knows no keys.
        unix_socket: path of the socket on which a server of this machine listens, asked instead of host and port.
    """

    labels: tuple[str, ...] = ()
    labels_file: str | None = None
    num_classes: int | None = None
    label_map: Mapping[str, str] = field(default_factory=dict)
    image_shape: ImageShape | None = None
    batch_size: int = 32
    deterministic: bool = True
    key_env: str | None = None
    unix_socket: str | None = None

    def __post_init__(self) -> None:
        """Check what can be wrong on its own."""
        if sum([bool(self.labels), self.labels_file is not None, self.num_classes is not None]) > 1:
            raise SpecError("give one of labels, labels_file and num_classes")
        for name, value in (("batch_size", self.batch_size), ("num_classes", self.num_classes)):
            if value is not None and value < 1:
                raise SpecError(f"{name} should be at least 1, got {value}")
        if self.num_classes is not None and self.num_classes > MOST_CLASSES:
            raise SpecError(f"num_classes should be at most {MOST_CLASSES:,}, got {self.num_classes:,}")
        if self.key_env is not None and not re.fullmatch("[A-Z_][A-Z0-9_]*", self.key_env):
            raise SpecError("key_env is the name of an environment variable, like MY_API_KEY; a key itself never is")

    def known_labels(self) -> tuple[str, ...]:
        """The server's labels as far as the user named or numbered them.

        Raises:
            SpecError: the file cannot be read.
        """
        if self.labels_file is not None:
            return _lines(Path(self.labels_file))
        return self.labels or tuple(map(str, range(self.num_classes or 0)))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of a server with the protocol that it speaks.

    Attributes:
        protocol: its name.
        url: absolute, without secrets and without a slash at its end.
        common: options that every protocol has.
    """

    protocol: str
    url: str
    common: CommonOptions

    @property
    def name(self) -> str:
        """For people, as it may be typed."""
        scheme, _, rest = self.url.partition(":")
        socket = f"?unix_socket={self.common.unix_socket}" if self.common.unix_socket else ""
        return (f"{scheme}+{self.protocol}:{rest}" if scheme in GRPC else f"{self.protocol}+{self.url}") + socket

    def labels(self) -> Labels:
        """The labels that the user named, or free words."""
        return Labels(self.common.known_labels(), self.common.label_map, named=self.common.num_classes is None)

    def spec(
        self,
        labels: Labels,
        *,
        feedback: Feedback,
        encoding: str,
        eight_bit: bool,
        max_batch: int | None,
        image_shape: ImageShape | None = None,
        details: Mapping[str, object] | None = None,
    ) -> OracleSpec:
        """The specification of the oracle behind the endpoint.

        Args:
            labels: of the server.
            feedback: what its answers hold.
            encoding: all that the numbers or pixels which the server sees depend on.
            eight_bit: whether images are rounded on their way.
            max_batch: most images that the protocol takes in one request, None for no limit; the user's may be lower.
            image_shape: of the images to ask about where the server says it and the user does not.
            details: whatever else changes answers, by name.
        """
        parts = {
            "protocol": self.protocol,
            "url": self.url,
            "encoding": encoding,
            "labels": labels.identity,
            "feedback": feedback,
            **(details or {}),
            **({"unix_socket": self.common.unix_socket} if self.common.unix_socket else {}),
        }
        return OracleSpec(
            name=self.name,
            fingerprint=hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest(),
            classes=labels.classes(),
            image_shape=self.common.image_shape or image_shape,
            feedback=feedback,
            deterministic=self.common.deterministic,
            eight_bit=eight_bit,
            max_batch=min(self.common.batch_size, max_batch or self.common.batch_size),
            remote=True,
        )


@dataclass(frozen=True, slots=True)
class Key:
    """Source of a protocol's key, and its place in requests.

    Attributes:
        variable: of the environment, unless the user names another; empty where only the user can.
        header: that carries it.
        prefix: before the key.
        required: whether there is no asking without it.
    """

    variable: str
    header: str
    prefix: str = ""
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolDescriptor(Generic[Own]):
    """One way of asking a classifier over HTTP, and perhaps over gRPC.

    Attributes:
        name: as in `NAME+http://`.
        usage: how an oracle of this kind is named.
        summary: what it is, in one line.
        options: dataclass of its own options.
        connect: makes the protocol; may send requests for metadata.
        key: None where servers ask for none.
        locate: from what stands after `NAME:` to the URL, for services whose address is known; None where the name
            holds the URL.
        batches: makes the batch interface of an endpoint, None where it has none; its last argument sends what it asks.
        small: what the service of an endpoint says of small images, None where it says nothing.
        sign: makes the signer of an endpoint whose requests are signed rather than carry a key; its last argument is
            told of each secret.
        over_grpc: from what a user writes behind `grpc:` or `grpcs:` to the rest of the URL, for a protocol that is
            spoken over gRPC, too; `usage_over_grpc` is how that is named.
        usage_over_grpc: see `over_grpc`.
    """

    name: str
    usage: str
    summary: str
    options: type[Own]
    connect: Callable[[Endpoint, Own, Send], WireProtocol]
    key: Key | None = None
    locate: Callable[[str], str] | None = None
    sign: Callable[[Endpoint, Own, Callable[[str], None]], Callable[[Request], Request]] | None = None
    over_grpc: Callable[[str], str] | None = None
    usage_over_grpc: str = ""
    small: Callable[[Endpoint], SmallImages | None] = lambda endpoint: None
    batches: Callable[[Endpoint, Own, Send], BatchEndpoint | None] = lambda endpoint, own, send: None


def accepted(reply: Reply, what: str) -> Reply:
    """A reply of status 200.

    Args:
        reply: to a request for metadata.
        what: was asked for.

    Raises:
        OracleUnavailable: another status, or an error in a reply of status 200.
    """
    if reply.status != 200:
        said = reply.body[:_SHOWN].decode(errors="replace").strip()
        raise OracleUnavailable(f"{what}: the server answered {reply.phrase or reply.status} {said!r}")
    if words := error_words(reply.body):
        raise OracleUnavailable(f"{what}: the server says {words!r}")
    return reply


def _lines(path: Path) -> tuple[str, ...]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"cannot read the labels in {path}: {error}; it should hold one label a line") from error
    return tuple(line.strip() for line in text.splitlines() if line.strip())
