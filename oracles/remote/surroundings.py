"""Surroundings of connections: proxies, certificates and installed extras, as environment and settings name them."""

from __future__ import annotations

import importlib.util
import ipaddress
import logging
import math
import os
import socket
import ssl
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpcore
import httpx

from oracles.errors import SpecError
from oracles.remote.limits import ClientLimits
from oracles.remote.secrets import Secrets, private_text

_SOCKS = ("socks5", "socks5h")


def trust(url: str, limits: ClientLimits) -> ssl.SSLContext | None:
    """The authorities that SSL_CERT_FILE or SSL_CERT_DIR name, else the usual ones, and the client's own certificate.

    Returns:
        None where `url` is not https.

    Raises:
        SpecError: a file or folder cannot be read, or there is a certificate, but no TLS.
    """
    pair = client_certificate(url, limits, "https")
    if urlsplit(url).scheme != "https":
        return None
    try:
        context = httpx.create_ssl_context()
    except (OSError, ValueError) as error:
        raise SpecError(f"the certificates that SSL_CERT_FILE or SSL_CERT_DIR name cannot be used: {error}") from None
    if pair is not None:
        context.load_cert_chain(*pair)
    return context


def client_certificate(url: str, limits: ClientLimits, tls: str) -> tuple[str, str] | None:
    """The files of the client's own certificate and its key, which may be one; None where there is none.

    Args:
        url: of the server.
        limits: name the files.
        tls: the scheme of addresses that are asked over TLS.

    Raises:
        SpecError: a key without a certificate, one that others can read or that cannot be used, or there is no TLS.
    """
    if limits.client_certificate is None:
        if limits.client_key is not None:
            raise SpecError("client_key: say client_certificate, too")
        return None
    if urlsplit(url).scheme != tls:
        raise SpecError(f"client_certificate: certificates go with {tls}:// alone; correct the address or leave it out")
    key = limits.client_key or limits.client_certificate
    private_text(Path(key), "client_key" if limits.client_key else "client_certificate, which holds the key")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(limits.client_certificate, key, password=_no_password)
    except (OSError, ValueError) as error:
        raise SpecError(f"client_certificate and client_key cannot be used: {error}") from None
    return limits.client_certificate, key


def authorities() -> bytes:
    """Certificates of the authorities that are trusted, as `trust` has them.

    Raises:
        SpecError: a file or folder cannot be read.
    """
    import certifi

    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    try:
        if file:
            return Path(file).read_bytes()
        if folder:
            return b"\n".join(path.read_bytes() for path in sorted(Path(folder).iterdir()) if path.is_file())
        return Path(certifi.where()).read_bytes()
    except OSError as error:
        raise SpecError(f"the certificates that SSL_CERT_FILE or SSL_CERT_DIR name cannot be used: {error}") from None


def _no_password() -> str:
    raise ValueError("the key is encrypted; name a file with the bare key, which only you can read (chmod 600)")


def proxy(url: str, secrets: Secrets) -> httpcore.Proxy | None:
    """The proxy that the environment names for a server, None for none.

    Raises:
        SpecError: it cannot be used; the text does not show its password.
    """
    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    named = proxies.get(parts.scheme) or proxies.get("all")
    direct = urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]) or _in_a_range(parts.hostname, proxies)
    if not named or direct:
        return None
    try:
        address = urlsplit(named if "://" in named else f"http://{named}")
        fine = address.scheme in ("http", "https", *_SOCKS) and address.hostname and (address.port or 1)
    except ValueError:
        fine = False
    if not fine:
        raise SpecError("the proxy that the environment names should look like http://HOST:PORT")
    if address.scheme in _SOCKS and importlib.util.find_spec("socksio") is None:
        raise SpecError("the environment names a SOCKS proxy; install the package socksio to use it")
    auth = None
    if address.username is not None:
        user, password = unquote(address.username), unquote(address.password or "")
        secrets.add(password or user)
        secrets.add(f"{user}:{password}")
        auth = (user, password)
    host = address.netloc.rpartition("@")[2]
    return httpcore.Proxy(f"{address.scheme}://{host}", auth=auth)


def _in_a_range(host: str | None, proxies: Mapping[str, str]) -> bool:
    """True if NO_PROXY names a range of addresses (10.0.0.0/8) with that of the host in it."""
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return False
    for entry in proxies.get("no", "").split(","):
        try:
            if "/" in entry and address in ipaddress.ip_network(entry.strip(), strict=False):
                return True
        except ValueError:  # a name
            continue
    return False


def http2_is_there(url: str, limits: ClientLimits) -> bool:
    """True.

    Raises:
        SpecError: HTTP/2 is not installed, or the address is none over which it is spoken in this way.
    """
    secure = urlsplit(url).scheme == "https"
    if limits.http2 and not secure:
        raise SpecError(
            "http2: HTTP/2 is agreed upon in TLS, so it goes with https:// alone; for a server that speaks it without "
            "TLS (h2c) say h2c=true instead"
        )
    if limits.h2c and secure:
        raise SpecError("h2c is HTTP/2 without TLS, so it goes with http:// alone; with https:// say http2=true")
    if importlib.util.find_spec("h2") is None:
        raise SpecError("HTTP/2 needs the package h2; install it by pip install 'bbsmooth[http2]'")
    return True


def keepalive(seconds: float | None) -> list[tuple[int, int, int]]:
    """Options of sockets by which the other side is probed when it is silent, as far as the system knows them.

    Args:
        seconds: of silence, None for never.
    """
    if seconds is None:
        return []
    between = max(1, math.ceil(seconds))
    timed = [
        (socket.IPPROTO_TCP, getattr(socket, name), between)
        for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL")
        if hasattr(socket, name)
    ]
    return [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), *timed]


def keep_headers_out_of_logs() -> None:
    """Silence debug logs that hold every header: credentials, and replies that repeat them."""
    for name in ("httpcore", "hpack", "botocore"):
        logging.getLogger(name).setLevel(logging.INFO)
