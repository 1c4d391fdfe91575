"""Credentials of requests: added when they are sent, known nowhere else."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import unquote, urlsplit, urlunsplit

from oracles.errors import SpecError
from oracles.remote.secrets import Secret, Secrets, refuse_credentials

_USUAL = {"Accept": "*/*", "Accept-Encoding": "gzip, deflate", "User-Agent": "bbsmooth"}
_ADDRESSES = 64
_SCHEMES = ("http", "https", "grpc", "grpcs")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x21-\x7e]([\t\x20-\x7e]*[\x21-\x7e])?")
_URL = re.compile(r"[\x21-\x7e]+")


class Credentials:
    """Credentials that go into each request.

    Args:
        headers: name to value, with placeholders for secrets.
        secrets: looks them up.

    Raises:
        SpecError: a secret is not there, or cannot stand in a header.
    """

    def __init__(self, headers: Mapping[str, str], secrets: Secrets) -> None:
        """Look them up."""
        self._secrets, self._templates = secrets, dict(headers)
        self._headers = self._filled()
        self.address = lru_cache(_ADDRESSES)(self._address)
        self._merged = lru_cache(_ADDRESSES)(self._merge)

    def renew(self) -> bool:
        """Look them up again; returns whether anything changed.

        Raises:
            SpecError: a secret is not there any more.
        """
        changed = self._secrets.renew()
        self._headers = self._filled()
        self.address.cache_clear()
        self._merged.cache_clear()
        return changed

    def _filled(self) -> dict[str, Secret]:
        return {
            name: _checked(name, self._secrets.fill(value, place=f"header {name}"))
            for name, value in self._templates.items()
        }

    def _address(self, url: str) -> tuple[str, Mapping[str, str]]:
        """The real address, and the header that takes the place of a user and password in it.

        Raises:
            SpecError: the URL cannot be used, or a secret is not there.
        """
        refuse_credentials(url)
        real = self._secrets.fill(url, place="the URL").reveal()
        try:
            parts = urlsplit(real)
            fine = parts.scheme in _SCHEMES and parts.hostname and (parts.port or 1) and _URL.fullmatch(real)
        except ValueError:
            fine = False
        if not fine:
            shown = f"got {url}" if url else "and there is none"
            raise SpecError(f"a URL should look like https://HOST/PATH, in ASCII, without blanks, {shown}")
        user, at, host = parts.netloc.rpartition("@")
        if not at:
            return real, {}
        pair = b64encode(unquote(user).encode()).decode()
        self._secrets.add(pair)
        return urlunsplit(parts._replace(netloc=host)), {"Authorization": f"Basic {pair}"}

    def add_to(self, *headers: Mapping[str, str]) -> dict[str, str]:
        """Headers with the credentials and the usual ones; of several of one name the last counts."""
        return dict(self._merged(tuple(tuple(each.items()) for each in headers)))

    def _merge(self, headers: tuple[tuple[tuple[str, str], ...], ...]) -> tuple[tuple[str, str], ...]:
        own = tuple((name, value.reveal()) for name, value in self._headers.items())
        merged: dict[str, tuple[str, str]] = {}
        for each in (tuple(_USUAL.items()), *headers, own):
            merged |= {name.lower(): (name, value) for name, value in each}
        return tuple(merged.values())


def _checked(name: str, value: Secret) -> Secret:
    if not _NAME.fullmatch(name):
        raise SpecError(f"{name!r} cannot be the name of a header")
    if not _VALUE.fullmatch(value.reveal()):
        raise SpecError(
            f"header {name}: its value is empty, or holds a line break or another character that cannot be sent; "
            "ASCII can"
        )
    return value
