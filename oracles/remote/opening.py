"""From a name or a file to a remote oracle."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from oracles.errors import OracleError, SpecError
from oracles.remote.kinds import Common, Key, Kind, Target
from oracles.remote.messages import Reply, Request
from oracles.remote.options import looks_secret, read, refuse_unknown
from oracles.remote.protocol import Send
from oracles.remote.protocols import (
    azurevision,
    clarifai,
    customvision,
    googlevision,
    huggingface,
    kserve,
    openai,
    rekognition,
    template,
    tfserving,
    torchserve,
)
from oracles.remote.remote import RemoteOracle
from oracles.remote.secrets import refuse_credentials
from oracles.remote.terms import Terms
from oracles.remote.toml import read_toml
from oracles.remote.transport import Transport

_PROTOCOLS = (
    kserve,
    torchserve,
    tfserving,
    huggingface,
    openai,
    googlevision,
    rekognition,
    azurevision,
    customvision,
    clarifai,
    template,
)

KINDS: dict[str, Kind[Any]] = {protocol.KIND.name: protocol.KIND for protocol in _PROTOCOLS}
"""All protocols by name."""

_BEARER = Key("", "Authorization", "Bearer ", required=False)
"""For servers that ask for no key: one may stand before them that does."""


def open_address(kind: Kind[Any], scheme: str, rest: str, options: Mapping[str, str]) -> RemoteOracle:
    """The oracle behind `SCHEME:REST?OPTIONS`.

    Args:
        kind: its protocol.
        scheme: what stands before the first colon, as in `kserve+http`.
        rest: what stands behind it.
        options: of the protocol, of `Common`, and those of `Terms` that are numbers.

    Raises:
        SpecError: an address or option that makes no sense, or a secret in it.
        OracleUnavailable: the server cannot be reached or has no such model.
    """
    if "headers" in options:
        raise SpecError(f"{scheme}: headers stand in an oracle.toml, as [headers], not in a name")
    url = kind.locate(rest) if kind.locate else f"{scheme.removeprefix(f'{kind.name}+')}:{rest}"
    return _open(kind, url, options, place=scheme)


def open_file(path: Path, options: Mapping[str, str]) -> RemoteOracle:
    """The oracle that an `oracle.toml` describes (see `oracles.remote.toml`).

    Args:
        path: of the file.
        options: win over those in the file.

    Raises:
        SpecError: the file cannot be read, or something in it makes no sense; the text names file and key.
        OracleUnavailable: the server cannot be reached or has no such model.
    """
    described = read_toml(path)
    if described.protocol not in KINDS:
        raise SpecError(f"{path}: protocol should be one of {', '.join(sorted(KINDS))}, got {described.protocol!r}")
    kind = KINDS[described.protocol]
    url = described.url or (kind.locate("") if kind.locate else "")
    return _open(kind, url, described.options | dict(options), place=str(path))


def _open(kind: Kind[Any], url: str, given: Mapping[str, object], *, place: str) -> RemoteOracle:
    refuse_unknown(given, [kind.options, Common, Terms], place=place)
    common, own, terms = (read(part, given, place=place) for part in (Common, kind.options, Terms))
    try:
        _check_url(url)
        _check_headers(terms.headers)
        terms = replace(terms, headers={**_key_header(kind, common, terms), **terms.headers})
        return _connect(kind, Target(kind.name, url.rstrip("/"), common), own, terms)
    except SpecError as error:
        raise SpecError(f"{place}: {error}") from error


def _connect(kind: Kind[Any], target: Target, own: object, terms: Terms) -> RemoteOracle:
    transport = Transport(target.url, terms, kind.sign(target, own) if kind.sign else None)
    for variable in kind.signed_with:
        transport.secrets.add(os.environ.get(variable, ""))
    try:
        return RemoteOracle(kind.connect(target, own, _cleaned(transport)), transport, terms)
    except OracleError:
        transport.close()
        raise


def _cleaned(transport: Transport) -> Send:
    """Sends requests for metadata; what a server repeats of a secret reaches neither errors nor the oracle's spec."""

    def send(request: Request) -> Reply:
        reply = transport.send(request)
        return replace(reply, body=transport.secrets.strike_bytes(reply.body))

    return send


def _check_url(url: str) -> None:
    """Refuse what the transport would not notice.

    Raises:
        SpecError: a port that is no number, or a fragment.
    """
    refuse_credentials(url)  # first, so that no error shows one
    try:
        parts = urlsplit(url)
        fine = (parts.port or 1) > 0 and not parts.fragment
    except ValueError:
        fine = False
    if not fine:
        raise SpecError(f"the url should look like http://HOST:PORT/PATH or https://HOST/PATH, got {url!r}")


def _check_headers(headers: Mapping[str, str]) -> None:
    """Refuse keys that stand in a file.

    Raises:
        SpecError: a header that carries keys does not take its value from the environment.
    """
    for name, value in headers.items():
        if looks_secret(name) and "${" not in value:
            raise SpecError(f"headers.{name} holds a secret; write ${{NAME}} for the environment variable NAME instead")


def _key_header(kind: Kind[Any], common: Common, terms: Terms) -> dict[str, str]:
    """The header that carries the key, unless the user gives that header or needs none.

    Raises:
        SpecError: the user names a variable, but requests are signed.
    """
    if kind.sign is not None and common.key_env is not None:
        raise SpecError(
            f"key_env: requests are signed, with the keys that `bbsmooth oracle list` names for {kind.name}"
        )
    key = kind.key or _BEARER
    if key.header.lower() in {name.lower() for name in terms.headers}:
        return {}
    variable = common.key_env or key.variable
    needed = common.key_env is not None or key.required or variable in os.environ
    return {key.header: f"{key.prefix}${{{variable}}}"} if variable and needed else {}
