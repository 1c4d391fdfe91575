"""Surroundings of connections, as the environment gives them: proxies, trusted authorities, installed extras."""

from __future__ import annotations

import importlib.util
import ipaddress
import logging
import ssl
import urllib.request
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import httpcore
import httpx

from oracles.errors import SpecError
from oracles.remote.secrets import Secrets

_SOCKS = ("socks5", "socks5h")


def trust(url: str) -> ssl.SSLContext | None:
    """The authorities that SSL_CERT_FILE or SSL_CERT_DIR name, else the usual ones; None where `url` is not https.

    Raises:
        SpecError: the file or folder cannot be read.
    """
    if urlsplit(url).scheme != "https":
        return None
    try:
        return httpx.create_ssl_context()
    except (OSError, ValueError) as error:
        raise SpecError(f"the certificates that SSL_CERT_FILE or SSL_CERT_DIR name cannot be used: {error}") from None


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


def http2_is_there() -> bool:
    """True.

    Raises:
        SpecError: HTTP/2 is not installed.
    """
    if importlib.util.find_spec("h2") is None:
        raise SpecError("HTTP/2 needs the package h2; install it by pip install 'bbsmooth[http2]'")
    return True


def keep_headers_out_of_logs() -> None:
    """Silence debug logs that hold every header: credentials, and replies that repeat them."""
    for name in ("httpcore", "hpack", "botocore"):
        logging.getLogger(name).setLevel(logging.INFO)
