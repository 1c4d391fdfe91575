"""Clients, known by the key that a request brings."""

from __future__ import annotations

import hashlib
import math
import os
import re
import shlex
import stat
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bbsmooth.errors import UsageError
from bbsmooth.serving.refusal import Refusal
from oracles import SpecError
from oracles.remote.secrets import Secrets

EVERYBODY = "everybody"
"""The only client of a service without keys."""

LEAST_KEY = 16
"""Characters of a key: shorter ones could be guessed."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KEY = re.compile(r"[!-~]+")
_BEARER = re.compile(r"bearer +(?P<key>[!-~]+) *", re.IGNORECASE)
_FIELDS = {"key", "budget", "rate"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Somebody who may ask.

    Attributes:
        name: for ledgers and messages; no secret.
        budget: queries in all, None for no limit.
        rate: requests a second, None for no limit.
    """

    name: str
    budget: int | None
    rate: float | None


class Clients:
    """Finds the client by the key. Of keys only SHA-256 digests are kept.

    Args:
        by_digest: clients by the digest of their key; empty where no key is asked for.
        everybody: who asks without one, None where that is not allowed.
    """

    def __init__(self, by_digest: Mapping[bytes, Client], *, everybody: Client | None = None) -> None:
        """Keep the digests."""
        self._by_digest = dict(by_digest)
        self._everybody = everybody

    @property
    def keyed(self) -> bool:
        """True where a key is asked for."""
        return self._everybody is None

    @property
    def all(self) -> Sequence[Client]:
        """Every client."""
        return [*self._by_digest.values(), *([] if self._everybody is None else [self._everybody])]

    def known(self, authorization: str | None) -> Client:
        """The client behind the header `Authorization: Bearer KEY`.

        Raises:
            Refusal: there is none (401). No key is in the text.
        """
        if self._everybody is not None:
            return self._everybody
        given = _BEARER.fullmatch(authorization or "")
        if given is None:
            raise Refusal(401, "this service asks for a key; send it as the header Authorization: Bearer KEY")
        client = self._by_digest.get(_digest(given["key"]))
        if client is None:
            raise Refusal(401, "this key is not known here; check it, or ask whoever runs this service for one")
        return client


def anybody(*, budget: int | None, rate: float | None) -> Clients:
    """One client for all who can reach the service."""
    return Clients({}, everybody=Client(name=EVERYBODY, budget=budget, rate=rate))


def read_clients(path: Path, *, rate: float | None) -> Clients:
    """Clients from a TOML file: a table for each, named as the client.

    `key` is the key, or `${NAME}` of an environment variable, or `${file:PATH}` of a private file; `budget` its queries
    in all; `rate` its requests a second. A file in which keys stand themselves may be read by its owner alone.

    Args:
        path: of the file.
        rate: for clients that have none of their own.

    Raises:
        UsageError: it cannot be read, others could read keys in it, or an entry makes no sense. No key is in the text.
    """
    tables, private = _tables(path)
    secrets, found, clients = Secrets(), dict[bytes, Client](), list[Client]()
    for name, table in tables.items():
        place = f"{path}, client {name!r}"
        if not _NAME.fullmatch(name):
            raise UsageError(f"{place}: a name may hold up to 64 letters, digits, '_' and '-'")
        if not isinstance(table, dict) or table.keys() - _FIELDS or "key" not in table:
            raise UsageError(f"{place}: a table should hold key, and may hold budget and rate, and nothing else")
        digest = _digest(_key(table["key"], place, secrets, path, private=private))
        if digest in found:
            raise UsageError(f"{place} has the same key as {found[digest].name!r}; give each its own")
        found[digest] = Client(
            name=name,
            budget=_whole(table["budget"], place) if "budget" in table else None,
            rate=_positive(table["rate"], place) if "rate" in table else rate,
        )
        clients.append(found[digest])
    if not clients:
        raise UsageError(f"{path} names no client, so that nobody could ask")
    return Clients(found)


def _tables(path: Path) -> tuple[dict[str, Any], bool]:
    """Tables of the file, and True where only its owner can read it."""
    try:
        with path.open("rb") as file:
            private = not stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077
            return tomllib.load(file), private
    except OSError as error:
        raise UsageError(f"cannot read the clients in {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):  # whose text may quote a key
        raise UsageError(f"{path} is not TOML: it should hold a table for each client, as in [NAME]") from None


def _key(value: Any, place: str, secrets: Secrets, path: Path, *, private: bool) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{place}: key should be text")
    if "${" not in value and not private:
        raise UsageError(
            f"{place}: the key stands in a file that others can read; run: chmod 600 {shlex.quote(str(path))}, "
            "or write ${NAME} of an environment variable"
        )
    try:
        key = secrets.fill(value, place=place).reveal()
    except SpecError as error:
        raise UsageError(str(error)) from None
    if len(key) < LEAST_KEY or not _KEY.fullmatch(key):
        raise UsageError(
            f"{place}: a key should have at least {LEAST_KEY} printable ASCII characters and no space; make one with: "
            "python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    return key


def _whole(value: Any, place: str) -> int:
    if type(value) is not int or value < 0:
        raise UsageError(f"{place}: budget should be a whole number of queries and not negative, got {value!r}")
    return value


def _positive(value: Any, place: str) -> float:
    if type(value) not in (int, float) or not 0 < value < math.inf:
        raise UsageError(f"{place}: rate should be a number of requests a second above 0, got {value!r}")
    return float(value)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
