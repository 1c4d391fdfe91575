"""From a name or a file to a remote oracle."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from oracles.errors import OracleError, SpecError
from oracles.options import looks_secret, read, refuse_unknown
from oracles.remote.descriptor import GRPC, CommonOptions, Endpoint, Key, ProtocolDescriptor
from oracles.remote.limits import ClientLimits
from oracles.remote.messages import Reply, Request
from oracles.remote.protocols import (
    anthropic,
    azureml,
    azurevision,
    bedrock,
    bentoml,
    clarifai,
    customvision,
    gemini,
    googlevision,
    gradio,
    huggingface,
    kserve,
    litserve,
    ollama,
    openai,
    rekognition,
    replicate,
    roboflow,
    sagemaker,
    template,
    tfserving,
    torchserve,
    vertexai,
)
from oracles.remote.secrets import refuse_credentials
from oracles.remote.signing import signer
from oracles.remote.toml import read_toml
from oracles.remote.wire_protocol import Send

if TYPE_CHECKING:
    from oracles.remote.grpc.transport import GrpcTransport
    from oracles.remote.remote import RemoteOracle
    from oracles.remote.transport import Transport

_MODULES = (
    kserve,
    torchserve,
    tfserving,
    litserve,
    bentoml,
    gradio,
    huggingface,
    openai,
    anthropic,
    gemini,
    bedrock,
    ollama,
    replicate,
    sagemaker,
    vertexai,
    azureml,
    roboflow,
    googlevision,
    rekognition,
    azurevision,
    customvision,
    clarifai,
    template,
)

PROTOCOLS: dict[str, ProtocolDescriptor[Any]] = {module.DESCRIPTOR.name: module.DESCRIPTOR for module in _MODULES}
"""All protocols by name."""

_BEARER = Key("", "Authorization", "Bearer ", required=False)
"""For servers that ask for no key: one may stand before them that does."""


def open_address(
    descriptor: ProtocolDescriptor[Any], scheme: str, rest: str, options: Mapping[str, str]
) -> RemoteOracle:
    """The oracle behind `SCHEME:REST?OPTIONS`.

    Args:
        descriptor: of its protocol.
        scheme: what stands before the first colon, as in `kserve+http`.
        rest: what stands behind it.
        options: of the protocol, of `CommonOptions`, and those of `ClientLimits` that are numbers.

    Raises:
        SpecError: an address or option that makes no sense, or a secret in it.
        OracleUnavailable: the server cannot be reached or has no such model.
    """
    if "headers" in options:
        raise SpecError(f"{scheme}: headers stand in an oracle.toml, as [headers], not in a name")
    transport = scheme.removeprefix(f"{descriptor.name}+").removesuffix(f"+{descriptor.name}")
    url = descriptor.locate(rest) if descriptor.locate else f"{transport}:{rest}"
    return _open(descriptor, url, options, place=scheme)


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
    if described.protocol not in PROTOCOLS:
        raise SpecError(f"{path}: protocol should be one of {', '.join(sorted(PROTOCOLS))}, got {described.protocol!r}")
    descriptor = PROTOCOLS[described.protocol]
    url = described.url or (descriptor.locate("") if descriptor.locate else "")
    return _open(descriptor, url, described.options | dict(options), place=str(path))


def _open(descriptor: ProtocolDescriptor[Any], url: str, given: Mapping[str, object], *, place: str) -> RemoteOracle:
    refuse_unknown(given, [descriptor.options, CommonOptions, ClientLimits], place=place)
    common, own, limits = (read(part, given, place=place) for part in (CommonOptions, descriptor.options, ClientLimits))
    try:
        _check_url(url)
        url = _over_grpc(descriptor, url)
        _check_headers(limits.headers)
        limits = replace(limits, headers={**_key_header(descriptor, common, limits), **limits.headers})
        return _connect(descriptor, Endpoint(descriptor.name, url.rstrip("/"), common), own, limits)
    except SpecError as error:
        raise SpecError(f"{place}: {error}") from error


def _connect(
    descriptor: ProtocolDescriptor[Any], endpoint: Endpoint, own: object, limits: ClientLimits
) -> RemoteOracle:
    from oracles.remote.batches.sending import PatientTransport
    from oracles.remote.remote import RemoteOracle  # and httpx, which the list of names does without

    transport = _transport(endpoint, limits)
    authentication = transport.authentication
    try:
        if limits.auth is not None:
            authentication.sign = signer(limits.auth, endpoint.url, transport.secrets.add)
        elif descriptor.sign is not None:
            authentication.sign = descriptor.sign(endpoint, own, transport.secrets.add)
        protocol = descriptor.connect(endpoint, own, _cleaned(transport))
        for secret in getattr(protocol, "body_secrets", ()):
            transport.secrets.fill(secret, place="the body")  # one that is not there is said now
        oracle = RemoteOracle(protocol, transport, limits)
        oracle.small = descriptor.small(endpoint)
        oracle.upscale = getattr(getattr(own, "picture", None), "upscale", 1)
        oracle.max_output_tokens = getattr(own, "max_completion_tokens", None) or getattr(own, "max_tokens", None)
        oracle.batches = descriptor.batches(endpoint, own, PatientTransport(endpoint, limits, oracle).send)
        return oracle
    except OracleError:
        transport.close()
        raise


def _transport(endpoint: Endpoint, limits: ClientLimits) -> Transport | GrpcTransport:
    """The transport for the scheme of an address."""
    from oracles.remote.grpc.transport import GrpcTransport
    from oracles.remote.transport import Transport

    if urlsplit(endpoint.url).scheme not in GRPC:
        return Transport(endpoint.url, limits, unix_socket=endpoint.common.unix_socket)
    if limits.http2 or limits.h2c:
        raise SpecError("gRPC always speaks HTTP/2: leave out http2 and h2c")
    if limits.auth is not None and limits.auth.startswith("aws:"):
        raise SpecError("auth: signatures of AWS are for HTTP; over gRPC say headers, google or azure")
    return GrpcTransport(endpoint.url, limits, unix_socket=endpoint.common.unix_socket)


def _over_grpc(descriptor: ProtocolDescriptor[Any], url: str) -> str:
    """The URL, which over gRPC need not have all of the path that it has over HTTP.

    Raises:
        SpecError: the protocol is not spoken over gRPC, or a port is missing.
    """
    scheme, _, rest = url.partition(":")
    if scheme not in GRPC:
        return url
    if descriptor.over_grpc is None:
        raise SpecError(f"{descriptor.name} is not spoken over gRPC; name an http:// or https:// address")
    if scheme == "grpc" and urlsplit(url).port is None:
        raise SpecError(f"say the port for gRPC, as in grpc://HOST:PORT/NAME, got {url!r}")
    return f"{scheme}:{descriptor.over_grpc(rest)}"


def _cleaned(transport: Transport | GrpcTransport) -> Send:
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


def _key_header(descriptor: ProtocolDescriptor[Any], common: CommonOptions, limits: ClientLimits) -> dict[str, str]:
    """The header that carries the key, unless the user gives that header or needs none.

    Raises:
        SpecError: the user names a variable, but requests are signed.
    """
    if descriptor.sign is not None and common.key_env is not None:
        raise SpecError(
            f"key_env: requests are signed, with the keys that `bbsmooth oracle list` names for {descriptor.name}"
        )
    key = descriptor.key or _BEARER
    if limits.auth is not None and common.key_env is not None:
        raise SpecError("say key_env or auth, not both")
    if limits.auth is not None:
        return {}
    if key.header.lower() in {name.lower() for name in limits.headers}:
        return {}
    variable = common.key_env or key.variable
    needed = common.key_env is not None or key.required or variable in os.environ
    return {key.header: f"{key.prefix}${{{variable}}}"} if variable and needed else {}
