"""Requests to a batch interface: few, large and slow."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

from oracles.remote.descriptor import Endpoint
from oracles.remote.limits import ClientLimits
from oracles.remote.messages import Reply, Request
from oracles.remote.remote import RemoteOracle
from oracles.remote.transport import Transport

_LEAST_SECONDS = 3600.0
"""Patience with a job's questions on their way out, or its answers on their way back."""

_MOST_BYTES = 2**31
"""Of the answers of one job."""


@dataclass(eq=False)
class PatientTransport:
    """Sends what asks a batch interface, with the credentials of an oracle; connected when it is first used.

    Args:
        endpoint: the server.
        limits: of the oracle's own requests, whose patience and size are too small here.
        oracle: that the batches are about.
    """

    endpoint: Endpoint
    limits: ClientLimits
    oracle: RemoteOracle = field(repr=False)

    @cached_property
    def _transport(self) -> Transport:
        limits = replace(
            self.limits,
            total_seconds=max(self.limits.total_seconds, _LEAST_SECONDS),
            max_reply_bytes=max(self.limits.max_reply_bytes, _MOST_BYTES),
            gzip=False,
        )
        sign, socket = self.oracle.transport.authentication.sign, self.endpoint.common.unix_socket
        return Transport(self.endpoint.url, limits, sign, unix_socket=socket)

    def send(self, request: Request) -> Reply:
        """The reply, whatever its status; without secrets in it."""
        transport = self._transport
        transport.traffic = self.oracle.transport.traffic
        reply = transport.send(request)
        return replace(reply, body=transport.secrets.strike_bytes(reply.body))
