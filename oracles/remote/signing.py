"""Requests that prove who asks by AWS's signature, or by a token of Google's or Azure's own library."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC
from typing import Any
from urllib.parse import urlsplit

from oracles.errors import SpecError, Unanswered
from oracles.remote.messages import Request

GOOGLE_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
"""What tokens of Google are for, unless the user says something else."""

AZURE_SCOPE = "https://ml.azure.com/.default"
"""The same of Azure: online endpoints of Azure Machine Learning."""

_AWS_HOST = re.compile(r"(?:[a-z0-9.-]+\.)?(?P<region>[a-z]{2}(?:-[a-z]+)+-[0-9])(?:\.vpce)?\.amazonaws\.com(?:\.cn)?")
_PRINTED = re.compile(r"[\x21-\x7e]+")
_EARLY_SECONDS = 120.0


class AwsSigner:
    """Signs requests (signature version 4) with the credentials that botocore finds: variables, profiles, roles.

    Args:
        service: by the name that AWS signs with, such as `sagemaker` or `bedrock`.
        region: of it.
        learn: told of each secret.

    Raises:
        SpecError: botocore or the credentials are not there.
    """

    def __init__(self, service: str, region: str, learn: Callable[[str], None]) -> None:
        """Look for credentials."""
        self.service, self.region, self._learn = service, region, learn
        self._credentials = self._found()

    def __call__(self, request: Request) -> Request:
        """The request with its signature."""
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        frozen = self._credentials.get_frozen_credentials()
        self._tell(frozen)
        prepared = AWSRequest(request.method, request.url, dict(request.headers), request.body)
        SigV4Auth(frozen, self.service, self.region).add_auth(prepared)
        return replace(request, headers=dict(prepared.headers.items()))

    def renew(self) -> bool:
        """Look for credentials again; returns whether there are others."""
        before = self._credentials.get_frozen_credentials()
        self._credentials = self._found()
        return bool(self._credentials.get_frozen_credentials() != before)

    def _found(self) -> Any:
        try:
            from botocore.session import Session
        except ImportError:
            raise SpecError("botocore is needed to sign requests; pip install 'bbsmooth[aws]'") from None
        credentials = Session().get_credentials()
        if credentials is None:
            raise SpecError("set the environment variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE")
        frozen = credentials.get_frozen_credentials()
        if not all(_PRINTED.fullmatch(value) for value in (frozen.access_key, frozen.token or "-")):
            raise SpecError("AWS_ACCESS_KEY_ID and AWS_SESSION_TOKEN should hold no blanks, line breaks and the like")
        self._tell(frozen)
        return credentials

    def _tell(self, frozen: Any) -> None:
        self._learn(frozen.secret_key)
        self._learn(frozen.token or "")


class TokenSigner:
    """Adds a bearer token, and asks for another one before it is over.

    Args:
        fetch: returns a token and the time (seconds since 1970) at which it is over.
        learn: told of each secret.
    """

    def __init__(self, fetch: Callable[[], tuple[str, float]], learn: Callable[[str], None]) -> None:
        """Fetch the first one."""
        self._fetch, self._learn = fetch, learn
        self._token, self._until = "", 0.0
        self.renew()

    def __call__(self, request: Request) -> Request:
        """The request with the token."""
        if time.time() > self._until - _EARLY_SECONDS:
            self.renew()
        return replace(request, headers={**request.headers, "Authorization": f"Bearer {self._token}"})

    def renew(self) -> bool:
        """Fetch a token; returns whether it is another one."""
        before = self._token
        self._token, self._until = self._fetch()
        self._learn(self._token)
        return self._token != before


def signer(auth: str, url: str, learn: Callable[[str], None]) -> Callable[[Request], Request]:
    """The signer that an option `auth` names.

    Args:
        auth: `aws:SERVICE[:REGION]`, `google[:SCOPE]` or `azure[:SCOPE]`.
        url: of the server, which may tell the region.
        learn: told of each secret.

    Raises:
        SpecError: there is none of this name, or the library or credentials that it needs are not there.
    """
    kind, _, rest = auth.partition(":")
    if kind == "aws" and rest:
        service, _, region = rest.partition(":")
        return aws(service, region or None, url, learn)
    if kind == "google":
        return TokenSigner(_google(rest or GOOGLE_SCOPE), learn)
    if kind == "azure":
        return TokenSigner(_azure(rest or AZURE_SCOPE), learn)
    raise SpecError(f"auth should be aws:SERVICE, aws:SERVICE:REGION, google or azure, got {auth!r}")


def aws(service: str, region: str | None, url: str, learn: Callable[[str], None]) -> AwsSigner:
    """The signer of an AWS service; the region is that of the address, or AWS_REGION, unless it is given.

    Raises:
        SpecError: as `AwsSigner`, or nobody says the region.
    """
    host = _AWS_HOST.fullmatch(urlsplit(url).hostname or "")
    told = region or (host["region"] if host else None) or os.environ.get("AWS_REGION")
    told = told or os.environ.get("AWS_DEFAULT_REGION")
    if told is None:
        raise SpecError(f"{url} does not tell its region: say region= or auth=aws:{service}:REGION, or set AWS_REGION")
    return AwsSigner(service, told, learn)


def _google(scope: str) -> Callable[[], tuple[str, float]]:
    """Fetches tokens with Google's application default credentials."""
    try:
        import google.auth
        import google.auth.exceptions
        import google.auth.transport.requests
    except ImportError:
        raise SpecError("google-auth is needed for Google's tokens; pip install 'bbsmooth[google]'") from None
    try:
        credentials, _ = google.auth.default(scopes=[scope])
    except google.auth.exceptions.GoogleAuthError as error:
        raise SpecError(f"{_line(error)}; or set GOOGLE_APPLICATION_CREDENTIALS to the file of a key") from None

    def fetch() -> tuple[str, float]:
        try:
            credentials.refresh(google.auth.transport.requests.Request())
        except google.auth.exceptions.GoogleAuthError as error:
            raise Unanswered(f"Google gives no token: {_line(error)}") from None
        until = credentials.expiry
        return credentials.token, until.replace(tzinfo=UTC).timestamp() if until else time.time() + 3600

    return fetch


def _azure(scope: str) -> Callable[[], tuple[str, float]]:
    """Fetches tokens with Azure's default credential."""
    try:
        import azure.core.exceptions
        import azure.identity
    except ImportError:
        raise SpecError("azure-identity is needed for Azure's tokens; pip install 'bbsmooth[azure]'") from None
    credential = azure.identity.DefaultAzureCredential()

    def fetch() -> tuple[str, float]:
        try:
            token = credential.get_token(scope)
        except azure.core.exceptions.AzureError as error:
            raise Unanswered(f"Azure gives no token: {_line(error)}") from None
        return token.token, float(token.expires_on)

    return fetch


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
