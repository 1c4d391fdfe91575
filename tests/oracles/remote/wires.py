"""The wires over which the same promises are tested: HTTP and gRPC, each with whatever goes wrong on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from oracles.registry import open_oracle
from oracles.remote.grpc.transport import GrpcTransport
from oracles.remote.limits import ClientLimits
from oracles.remote.remote import RemoteOracle
from oracles.remote.transport import Transport
from tests.oracles.remote import misbehaving, misbehaving_grpc
from tests.oracles.remote.misbehaving import MisbehavingServer, says
from tests.oracles.remote.misbehaving_grpc import MisbehavingGrpcServer, aborts
from tests.oracles.remote.plain import PlainProtocol
from tests.waiting import LONG


@dataclass(frozen=True)
class Wire:
    """A server that does wrong when it is told to, and what it can do wrong.

    Attributes:
        serve: runs a server.
        quick: faults that may pass, and take no time.
        slow: faults that end with somebody's patience.
        final: faults after which no question is asked.
        turned_away: faults that cost nothing.
        fails: an answer that says that the server failed.
        resets: breaks the connection.
        long_wait: turns away for so many seconds.
        waits: never answers.
        away: an answer that says that nobody is there; and how that reads.
    """

    serve: Callable[..., AbstractContextManager[Any]]
    quick: Sequence[Callable[[Any], Any]]
    slow: Sequence[Callable[[Any], Any]]
    final: Sequence[Callable[[Any], Any]]
    turned_away: Sequence[Callable[[Any], Any]]
    fails: Callable[[Any], Any]
    resets: Callable[[Any], Any]
    long_wait: Callable[[float], Callable[[Any], Any]]
    waits: Callable[[Any], Any]
    away: tuple[Callable[[Any], Any], str]


UNHURRIED = dict.fromkeys(("connect_seconds", "read_seconds", "write_seconds", "total_seconds"), f"{LONG:g}")
"""Options by which a look at metadata waits for a machine that stands still."""


def open_remote(url: str, limits: ClientLimits) -> RemoteOracle:
    """The oracle of `plane` at an address of a server below."""
    if not url.startswith("grpc"):
        return RemoteOracle(PlainProtocol(url), Transport(url, limits), limits)
    scheme, _, rest = url.partition(":")
    shown = {} if limits.client_certificate is None else {"client_certificate": limits.client_certificate}
    opened = open_oracle(f"{scheme}+kserve:{rest}", UNHURRIED | shown)  # what tests hurry about are their questions
    assert isinstance(opened, RemoteOracle)
    opened.transport.close()
    return RemoteOracle(opened.protocol, GrpcTransport(url, limits), limits)


HTTP = Wire(
    serve=lambda **given: MisbehavingServer(**given).running(),
    quick=[
        misbehaving.too_many(),
        misbehaving.too_many(0.01),
        misbehaving.too_many_until(-1),
        says(503),
        says(503, b"Prediction failed", retry_after="soon"),
        misbehaving.fails_and_dies,
        misbehaving.resets_at_once,
        misbehaving.resets_after_classifying,
        misbehaving.resets_in_the_body,
        misbehaving.ends_in_the_body,
        misbehaving.half_a_json,
        misbehaving.wrong_class_count,
        misbehaving.nan_scores,
        misbehaving.null_scores,
        misbehaving.wrong_content_type,
        misbehaving.html_page,
        misbehaving.duplicated_outputs,
        misbehaving.reordered_outputs,
        misbehaving.another_answer,
        says(204, b""),
    ],
    slow=[
        misbehaving.drips,
        misbehaving.drips_headers,
        misbehaving.is_silent,
        misbehaving.huge,
        misbehaving.bomb,
    ],
    final=[
        misbehaving.redirects_in_a_circle,
        misbehaving.redirects_elsewhere,
        says(401),
        says(404),
        misbehaving.altered(lambda answer: answer.update(model="2")),
    ],
    turned_away=[misbehaving.too_many(), says(503)],
    fails=says(500, b"boom"),
    resets=misbehaving.resets_at_once,
    long_wait=misbehaving.too_many,
    waits=misbehaving.waits,
    away=(says(503), "answered 503"),
)

GRPC = Wire(
    serve=lambda **given: MisbehavingGrpcServer(**given).running(),
    quick=[
        aborts("RESOURCE_EXHAUSTED"),
        aborts("RESOURCE_EXHAUSTED", grpc_retry_pushback_ms="10"),
        aborts("UNAVAILABLE", "Exceeds maximum queue size"),
        aborts("UNAVAILABLE", "", retry_after="soon"),
        aborts("INTERNAL"),
        aborts("ABORTED"),
        misbehaving_grpc.raises,
        misbehaving_grpc.fails_after_classifying,
        misbehaving_grpc.resets_at_once,
        misbehaving_grpc.resets_after_classifying,
        misbehaving_grpc.no_message,
        misbehaving_grpc.wrong_class_count,
        misbehaving_grpc.nan_scores,
        misbehaving_grpc.no_outputs,
        misbehaving_grpc.duplicated_outputs,
        misbehaving_grpc.bytes_without_tensor,
        misbehaving_grpc.short_bytes,
        misbehaving_grpc.another_answer,
        misbehaving_grpc.typed,
    ],
    slow=[misbehaving_grpc.is_silent, misbehaving_grpc.huge, aborts("DEADLINE_EXCEEDED")],
    final=[aborts("UNAUTHENTICATED"), aborts("NOT_FOUND"), aborts("UNIMPLEMENTED"), misbehaving_grpc.another_model],
    turned_away=[aborts("RESOURCE_EXHAUSTED"), aborts("UNAVAILABLE", "Exceeds maximum queue size")],
    fails=aborts("INTERNAL", "boom"),
    resets=misbehaving_grpc.resets_at_once,
    long_wait=lambda seconds: aborts("RESOURCE_EXHAUSTED", grpc_retry_pushback_ms=f"{1000 * seconds:.0f}"),
    waits=misbehaving_grpc.waits,
    away=(aborts("UNAVAILABLE"), "answered UNAVAILABLE"),
)

WIRES = {"http": HTTP, "grpc": GRPC}


def opened(server: MisbehavingServer | MisbehavingGrpcServer, limits: ClientLimits, **changes: object) -> RemoteOracle:
    """An oracle behind a server."""
    return open_remote(server.url, replace(limits, **changes))  # type: ignore[arg-type]
