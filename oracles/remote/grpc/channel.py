"""Channels of gRPC: how a server is reached, and what is never done behind our back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from oracles.errors import SpecError
from oracles.remote.limits import ClientLimits
from oracles.remote.secrets import Secrets
from oracles.remote.surroundings import authorities, client_certificate, proxy

TLS = "grpcs"
"""The scheme of addresses that are asked over TLS."""

_NEVER = 2**31 - 1
_TLS_PORT = 443
_SHORTEST_PAUSE, _LONGEST_PAUSE = 100, 1_000
"""Milliseconds between attempts to connect: how long a server is left alone is decided by whoever asks again."""


def needs() -> Any:
    """The package grpc, which logs nothing of its own unless GRPC_VERBOSITY asks for it: errors are one line here.

    Raises:
        SpecError: it is not installed.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        import google.protobuf
        import grpc
    except ImportError:
        raise SpecError("gRPC needs the packages grpcio and protobuf; pip install 'bbsmooth[grpc]'") from None
    assert google.protobuf
    return grpc


def opened(url: str, limits: ClientLimits, secrets: Secrets, unix_socket: str | None) -> Any:
    """A channel to a server; it connects when something is asked.

    Nothing is sent twice by itself, no service configuration of the server's name is followed, and connections are
    shared with nobody.

    Args:
        url: `grpc://HOST:PORT/...` or `grpcs://HOST[:PORT]/...`.
        limits: time-outs, sizes, certificates.
        secrets: is told of a proxy's password.
        unix_socket: path of the socket that is asked instead of host and port.

    Raises:
        SpecError: settings that cannot work.
    """
    grpc, pair = needs(), client_certificate(url, limits, TLS)
    options = [
        ("grpc.enable_retries", 0),
        ("grpc.service_config_disable_resolution", 1),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.primary_user_agent", "bbsmooth"),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", min(limits.max_reply_bytes, _NEVER)),
        ("grpc.min_reconnect_backoff_ms", int(1000 * limits.connect_seconds)),
        ("grpc.initial_reconnect_backoff_ms", _SHORTEST_PAUSE),
        ("grpc.max_reconnect_backoff_ms", max(_LONGEST_PAUSE, int(1000 * limits.connect_seconds))),
    ]
    if limits.keepalive_seconds is not None:
        options += [
            ("grpc.keepalive_time_ms", int(1000 * limits.keepalive_seconds)),
            ("grpc.keepalive_timeout_ms", int(1000 * limits.read_seconds)),
            ("grpc.http2.max_pings_without_data", 0),
        ]
    options += _proxy(url, secrets, unix_socket)
    compression = grpc.Compression.Gzip if limits.gzip else grpc.Compression.NoCompression
    target = f"unix:{unix_socket}" if unix_socket else f"dns:///{_host(url)}"
    if urlsplit(url).scheme != TLS:
        return grpc.insecure_channel(target, options=options, compression=compression)
    if unix_socket:
        options.append(("grpc.default_authority", _host(url)))
    return grpc.secure_channel(target, _credentials(grpc, pair), options=options, compression=compression)


def _host(url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return host if parts.port else f"{host}:{_TLS_PORT}"


def _credentials(grpc: Any, pair: tuple[str, str] | None) -> Any:
    certificate, key = pair if pair else (None, None)
    try:
        return grpc.ssl_channel_credentials(
            authorities(),
            None if key is None else Path(key).read_bytes(),
            None if certificate is None else Path(certificate).read_bytes(),
        )
    except OSError as error:
        raise SpecError(f"a certificate cannot be used: {error}") from None


def _proxy(url: str, secrets: Secrets, unix_socket: str | None) -> list[tuple[str, Any]]:
    """What gRPC has to know of the environment's proxy, by the same rules as for HTTP."""
    secure = urlsplit(url).scheme == TLS
    found = None if unix_socket else proxy(f"{'https' if secure else 'http'}:{url.partition(':')[2]}", secrets)
    if found is None:
        return [("grpc.enable_http_proxy", 0)]
    if found.url.scheme != b"http":
        raise SpecError("gRPC goes through proxies of the form http://HOST:PORT only; name another, or set NO_PROXY")
    host = found.url.host.decode() + (f":{found.url.port}" if found.url.port else "")
    user = "" if found.auth is None else f"{b':'.join(found.auth).decode()}@"
    return [("grpc.http_proxy", f"http://{user}{host}")]
