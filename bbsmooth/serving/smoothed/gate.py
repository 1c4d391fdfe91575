"""Who is let in now: a pace for each client, and a number of images that may be at work at once."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bbsmooth.serving.refusal import Refusal
from bbsmooth.serving.smoothed.clients import Client


@dataclass(slots=True)
class _Bucket:
    """Requests that a client may send at once; it fills with time."""

    tokens: float
    filled_at: float


class Gate:
    """Turns away what cannot be served soon, and says when to come again. For one event loop.

    Each request holds a place from its first byte on, and one for each further image once these are known. Where there
    are several clients, one may hold half of the places, so that others get in.

    Args:
        places: images at work at once.
        clients: how many there are.
        wait: seconds after which a place may be free, as far as one can tell; asked without waiting for anything.
        clock: seconds.
    """

    def __init__(
        self, places: int, clients: int, wait: Callable[[], float], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Everything is free."""
        self._places = places
        self._each = places if clients == 1 else max(1, places // 2)
        self._wait = wait
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}
        self._held: Counter[str] = Counter()

    @property
    def held(self) -> int:
        """Places that are taken."""
        return self._held.total()

    @property
    def largest(self) -> int:
        """Most images of one request."""
        return self._each

    def pace(self, client: Client) -> None:
        """Let a request pass at the client's pace; after a pause as many at once as come in a second.

        Raises:
            Refusal: it comes too soon (429).
        """
        if client.rate is None:
            return
        now, burst = self._clock(), max(1.0, client.rate)
        bucket = self._buckets.setdefault(client.name, _Bucket(burst, now))
        bucket.tokens = min(burst, bucket.tokens + (now - bucket.filled_at) * client.rate)
        bucket.filled_at = now
        if bucket.tokens < 1:
            wait = (1 - bucket.tokens) / client.rate
            raise Refusal(429, f"you may send {client.rate:g} requests a second", retry_after=math.ceil(wait))
        bucket.tokens -= 1

    @contextmanager
    def entered(self, client: Client) -> Iterator[Callable[[int], None]]:
        """Hold a place while the block runs; call what it gives with the number of images to hold as many.

        Raises:
            Refusal: no place is free (429), there or in that call.
        """
        own = 0

        def hold(images: int) -> None:
            nonlocal own
            more = images - own
            if self.held + more > self._places or self._held[client.name] + more > self._each:
                raise Refusal(
                    429, "as many images as this service takes at once are at work", retry_after=self._come_again()
                )
            self._held[client.name] += more
            own = images

        hold(1)
        try:
            yield hold
        finally:
            self._held[client.name] -= own

    def _come_again(self) -> int:
        return max(1, math.ceil(self._wait()))
