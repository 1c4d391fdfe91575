"""Everything that proves to one server who asks: headers with secrets, a signer, and renewal of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from oracles.remote.credentials import Credentials
from oracles.remote.limits import ClientLimits
from oracles.remote.messages import Reply, Request
from oracles.remote.renewal import Renewal
from oracles.remote.secrets import Secrets

Signer = Callable[[Request], Request]
"""Adds whatever proves who asks; called for each request just before it is sent."""


class Authentication:
    """Credentials of one server, for any number of threads.

    Args:
        url: of the server; may hold placeholders for secrets.
        limits: headers.
        sign: signs each request, None for no signature.

    Attributes:
        secrets: what must not get out.
        sign: as given; may be set before anything is sent.

    Raises:
        SpecError: a secret that is not there, or a URL that makes no sense.
    """

    def __init__(self, url: str, limits: ClientLimits, sign: Signer | None = None) -> None:
        """Look up secrets."""
        self.secrets, self.sign = Secrets(), sign
        self._credentials = Credentials(limits.headers, self.secrets)
        self._credentials.address(url)  # a secret that is not there is said now
        self._renewal = Renewal(self._renew, lambda: self.secrets.expires)

    def before(self) -> int:
        """Renew what is about to expire; the generation of the credentials that go into a request."""
        return self._renewal.before()

    def after(self, reply: Reply, generation: int, url: str) -> None:
        """Take note of a reply to credentials of some generation.

        Raises:
            Unanswered: it refuses them, and there are others by now.
        """
        self._renewal.after(reply, generation, url)

    def address(self, url: str) -> tuple[str, Mapping[str, str]]:
        """The real address, and the header that takes the place of a user and password in it."""
        return self._credentials.address(url)

    def headers(self, *given: Mapping[str, str]) -> dict[str, str]:
        """Headers with the credentials and the usual ones; of several of one name the last counts."""
        return self._credentials.add_to(*given)

    def signed(self, request: Request) -> Request:
        """The request with its signature, if it gets one."""
        return self.sign(request) if self.sign else request

    def _renew(self) -> bool:
        """Look up all credentials again, the signer's, too; returns whether that gave others."""
        renew: Callable[[], bool] = getattr(self.sign, "renew", lambda: False)
        return any([self._credentials.renew(), renew()])
