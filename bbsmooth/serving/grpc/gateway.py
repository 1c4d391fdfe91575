"""A server of gRPC in the process of an application: each call becomes a request to it, in memory."""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any

import grpc
import httpx
from fastapi import FastAPI

from bbsmooth.errors import UsageError
from bbsmooth.serving.grpc.translation import answer, credentials, question, refusal
from oracles import AnswerError
from oracles.remote.grpc.schema import METHODS, SERVICE, parsed

_log = logging.getLogger(__name__)
_FRAMING = 2**16
"""Bytes of a message around the tensors of a body of the largest size."""


def beside(
    app: FastAPI,
    host: str,
    port: int,
    *,
    max_body_bytes: int,
    grace: int,
    started: Callable[[], None],
    certificate: bytes | None = None,
    key: bytes | None = None,
) -> None:
    """Answer gRPC for as long as an application lives, which answers every call.

    Args:
        app: is asked in memory; its rules for clients, budgets and sizes hold.
        host: address to listen on.
        port: to listen on, from `reserved`.
        max_body_bytes: larger messages are refused.
        grace: seconds that calls under way may take at the end.
        started: called once calls are answered.
        certificate: the server's certificates (PEM), with which it speaks TLS; None for none.
        key: the private key (PEM).
    """
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(own: FastAPI) -> AsyncIterator[Any]:
        async with inner(own) as state, httpx.AsyncClient(transport=httpx.ASGITransport(app), timeout=None) as client:
            server = grpc.aio.server(
                options=[
                    ("grpc.max_receive_message_length", max_body_bytes + _FRAMING),
                    ("grpc.max_send_message_length", -1),
                    ("grpc.so_reuseport", 1),
                ]
            )
            server.add_generic_rpc_handlers((_Handlers(client),))
            if certificate is None:
                server.add_insecure_port(_address(host, port))
            else:
                server.add_secure_port(_address(host, port), grpc.ssl_server_credentials([(key, certificate)]))
            await server.start()
            started()
            try:
                yield state
            finally:
                await server.stop(grace)

    app.router.lifespan_context = lifespan


@contextmanager
def reserved(host: str, port: int) -> Iterator[int]:
    """Keep a port for gRPC while the block runs; yields its number.

    Args:
        host: name or number of an address of this machine.
        port: 0 for any free one.

    Raises:
        UsageError: it cannot be had.
    """
    with ExitStack() as stack:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            if port and _taken(family, kind, protocol, address):
                raise OSError("it is in use")
            held = stack.enter_context(socket.socket(family, kind, protocol))
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # gRPC listens on it beside us
            held.bind(address)
        except (OSError, OverflowError) as error:
            raise UsageError(
                f"cannot listen on {host}, port {port}: {error}; name another `host` or `grpc_port`"
            ) from error
        yield held.getsockname()[1]


def _taken(family: int, kind: int, protocol: int, address: Any) -> bool:
    """True if somebody listens there already, be it a server that would share the port."""
    with socket.socket(family, kind, protocol) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(address)
        except OSError:
            return True
    return False


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]  # without types
    """The methods of the protocol, answered by a client of the application."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        service, _, method = details.method.removeprefix("/").partition("/")
        if service != SERVICE or method not in METHODS:
            return None

        async def handle(raw: bytes, context: grpc.aio.ServicerContext) -> bytes:
            return await self._answer(method, raw, context)

        return grpc.unary_unary_rpc_method_handler(handle)

    async def _answer(self, method: str, raw: bytes, context: grpc.aio.ServicerContext) -> bytes:
        try:
            asked = question(method, parsed(f"{method}Request", raw))
        except (ValueError, AnswerError) as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        try:
            headers = {**credentials(context.invocation_metadata()), **asked.headers}
            reply = await self._client.request(
                asked.method, f"http://grpc{asked.path}", headers=headers, content=asked.body
            )
            found = answer(method, reply.status_code, reply.headers, reply.content)
        except Exception as error:  # left to gRPC, it would be said without being written down
            _log.exception("a call failed")
            await context.abort(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}")
        if found is None:
            code, said, trailers = refusal(reply.status_code, reply.headers, reply.content)
            await context.abort(getattr(grpc.StatusCode, code), said, trailers)
        return bytes(found.SerializeToString())
