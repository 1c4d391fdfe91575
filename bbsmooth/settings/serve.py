"""The settings of `bbsmooth serve`."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from bbsmooth.errors import UsageError
from bbsmooth.settings.certify import CertifyConfig
from bbsmooth.settings.option import Needs, Option, Panel

BODY, SMOOTHED_BODY = 64, 16  # MiB


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeConfig:
    """Settings of a server: where and how to serve."""

    host: Annotated[
        str,
        Option(
            "Address to listen on; 0.0.0.0 lets other machines in, who are asked for a key only with `clients`.",
            "ADDRESS",
            default="127.0.0.1",
        ),
    ]
    port: Annotated[int, Option("Port to listen on; 0 takes any free one.")]
    grpc_port: Annotated[
        int | None,
        Option(
            "Port for gRPC beside HTTP; 0 takes any free one. Without it gRPC is not spoken. Needs the extra `grpc`.",
            default=None,
        ),
    ]
    tls_cert: Annotated[
        Path | None,
        Option(
            "PEM file of the server's certificate and those that lead to its authority: HTTPS is spoken then, and gRPC "
            "over TLS. Without it both are in the clear.",
            panel=Panel.SERVER,
            default=None,
        ),
    ]
    tls_key: Annotated[
        Path | None,
        Option(
            "PEM file of the certificate's private key, without a password; the file of the certificate if left out.",
            panel=Panel.SERVER,
            default=None,
            needs=(Needs("tls_cert"),),
        ),
    ]
    name: Annotated[
        str | None,
        Option("Name of the model in URLs. Without it one that follows from the oracle's.", default=None),
    ]
    delay_milliseconds: Annotated[
        float,
        Option(
            "Bare: longest wait of a request for others that are answered in the same call.",
            "MILLISECONDS",
            Panel.SERVER,
            default=2.0,
            needs=(Needs("sigma", absent=True),),
        ),
    ]
    max_body: Annotated[
        int | None,
        Option(
            f"Largest body of a request. Without it {BODY}, with `sigma` {SMOOTHED_BODY}.",
            "MIB",
            Panel.SERVER,
            default=None,
        ),
    ]
    grace: Annotated[
        int,
        Option("How long requests under way may take once the server is told to end.", "SECONDS", Panel.SERVER),
    ] = 30

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        for field, port in (("port", self.port), ("grpc_port", self.grpc_port)):
            if port is not None and not 0 <= port < 2**16:
                raise UsageError(f"`{field}` must lie between 0 and {2**16 - 1}, got {port}")
        if self.grpc_port and self.grpc_port == self.port:
            raise UsageError(f"`grpc_port` must differ from `port`, got {self.port} for both")
        if self.tls_cert is None and self.tls_key is not None:
            raise UsageError("`tls_key` counts only with `tls_cert`: give that too, or leave `tls_key` out")
        if self.tls_cert is not None:
            _refuse_unusable(self.tls_cert, self.key)
        if self.max_body is not None and self.max_body < 1:
            raise UsageError(f"`max_body` must be at least 1 MiB, got {self.max_body}")
        if self.grace < 0:
            raise UsageError(f"`grace` must not be negative, got {self.grace}")
        if self.name is not None and not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", self.name):
            raise UsageError(f"`name` may hold letters, digits, '.', '_' and '-', got {self.name!r}")

    @property
    def key(self) -> Path | None:
        """File of the private key, None without TLS."""
        return self.tls_key or self.tls_cert


def _refuse_unusable(certificate: Path, key: Path | None) -> None:
    """Refuse a certificate and a key that no server can use.

    Raises:
        UsageError: they cannot be read, do not belong together, or need a password.
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise UsageError(
            f"`tls_cert` {certificate} and its private key in {key} cannot be used ({reason}); both must be PEM, "
            "belong together, and need no password"
        ) from error


def _no_password() -> str:
    raise ValueError("the key needs a password")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceConfig:
    """Limits on the use of a smoothed classifier: who may ask it for how much."""

    max_queries_per_image: Annotated[
        int | None,
        Option(
            "Most queries for one image; n is lowered where n0 + n would be more.",
            "QUERIES",
            Panel.CLIENTS,
            default=None,
        ),
    ]
    clients: Annotated[
        Path | None,
        Option(
            "TOML file with a table for each client: key (or ${NAME} of an environment variable), and where wanted "
            "budget in queries and rate in requests a second. Without it anybody may ask.",
            panel=Panel.CLIENTS,
            default=None,
        ),
    ]
    ledger: Annotated[
        Path | None,
        Option(
            "Where it is written down what each client and the service spent; needed with any budget.",
            "FOLDER",
            Panel.CLIENTS,
            default=None,
        ),
    ]
    rate: Annotated[
        float | None,
        Option("Requests a second of each client that has no rate of its own.", panel=Panel.CLIENTS, default=None),
    ]
    max_images: Annotated[int, Option("Most images in one request.", panel=Panel.CLIENTS, default=16)]
    max_waiting: Annotated[
        int,
        Option(
            "Most images at work at once; more are turned away with 429 and told when to come again.",
            "IMAGES",
            Panel.CLIENTS,
            default=64,
        ),
    ]

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if self.rate is not None and not self.rate > 0:
            raise UsageError(f"`rate` must be above 0 requests a second, got {self.rate}")

    def capped(self, certify: CertifyConfig) -> CertifyConfig:
        """The same with so few estimation draws that an image takes at most `max_queries_per_image`.

        Raises:
            UsageError: none would be left.
        """
        most, chosen = self.max_queries_per_image, certify.num_selection
        if most is None:
            return certify
        if most <= chosen:
            raise UsageError(
                f"`max_queries_per_image` must be above `num_selection` = {chosen}, which choose the class, got {most}"
            )
        return replace(certify, num_estimation=min(certify.num_estimation, most - chosen))
