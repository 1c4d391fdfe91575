"""Credentials that expire: looked up again when they are about to, or when the server says that they have."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress

from oracles.errors import OracleUnavailable, SpecError, Unanswered
from oracles.remote.messages import Reply

_EARLY_SECONDS = 60.0
"""A token is renewed so long before it is over."""

_PAUSE_SECONDS = 5.0
"""A token that was looked up again, and is the same, is not looked up again for so long."""

_EXPIRED = re.compile(rb"Expired_?Token|token[^\"]{0,40}expired|RequestExpired", re.IGNORECASE)
_SUSPECT = {400, 403}


class Renewal:
    """Renews the credentials of all threads that ask one server, once for all of them.

    A server that refuses credentials has answered nothing, so the question is asked again at no charge. Fresh ones that
    it refuses, too, are not renewed again: then they are wrong.

    Args:
        renew: looks everything up again, and returns whether that gave other credentials.
        expires: time (seconds since 1970) at which they are over, infinity where that is not known.
    """

    def __init__(self, renew: Callable[[], bool], expires: Callable[[], float]) -> None:
        """They are fresh."""
        self._renew, self._expires = renew, expires
        self._lock = threading.Lock()
        self._accepted = True
        self._tried = -_PAUSE_SECONDS
        self.generation = 0

    def before(self) -> int:
        """Renew what is about to expire; the generation of the credentials that go into a request."""
        left = self._expires() - time.time()
        if left < _EARLY_SECONDS and time.monotonic() - self._tried >= _PAUSE_SECONDS:
            with nullcontext() if left < 0 else suppress(OracleUnavailable):  # it is good for a while yet
                self._fresh(self.generation)
        return self.generation

    def after(self, reply: Reply, generation: int, url: str) -> None:
        """Take note of a reply to credentials of some generation.

        Raises:
            Unanswered: it refuses them, and there are others by now.
        """
        if reply.status != 401 and not (reply.status in _SUSPECT and _EXPIRED.search(reply.body)):
            self._accepted = self._accepted or generation == self.generation
            return
        if generation != self.generation or (self._accepted and self._fresh(generation)):
            raise Unanswered(f"{url} answered {reply.status}: credentials have expired, and were looked up again")

    def _fresh(self, generation: int) -> bool:
        """True if there are other credentials than those of a generation by now.

        Raises:
            OracleUnavailable: they cannot be looked up any more.
        """
        with self._lock:
            if generation != self.generation:
                return True
            self._tried = time.monotonic()
            try:
                changed = self._renew()
            except SpecError as error:
                raise OracleUnavailable(str(error)) from None
            if changed:
                self.generation += 1
                self._accepted = False
            return changed
