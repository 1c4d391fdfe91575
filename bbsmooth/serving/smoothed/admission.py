"""Admission control: a rate limit for each client, and a number of images that may be at work at once."""

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
class _TokenBucket:
    """Requests that a client may send at once; it fills with time."""

    tokens: float
    filled_at: float


class AdmissionControl:
    """Turns away what cannot be served soon, and says when to come again. For one event loop.

    Each request holds a slot from its first byte on, and one for each further image once these are known. Where there
    are several clients, one may hold half of the slots, so that others get in.

    Args:
        slots: images at work at once.
        clients: how many there are.
        wait: seconds after which a slot may be free, as far as one can tell; asked without waiting for anything.
        clock: seconds.
    """

    def __init__(
        self, slots: int, clients: int, wait: Callable[[], float], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Everything is free."""
        self._slots = slots
        self._each = slots if clients == 1 else max(1, slots // 2)
        self._wait = wait
        self._clock = clock
        self._buckets: dict[str, _TokenBucket] = {}
        self._held: Counter[str] = Counter()

    @property
    def held(self) -> int:
        """Slots that are taken."""
        return self._held.total()

    @property
    def max_images(self) -> int:
        """Most images of one request."""
        return self._each

    def check_rate(self, client: Client) -> None:
        """Let a request pass within the rate of its client (token bucket): at most a second's worth at once.

        Raises:
            Refusal: it comes too soon (429).
        """
        if client.rate is None:
            return
        now, burst = self._clock(), max(1.0, client.rate)
        bucket = self._buckets.setdefault(client.name, _TokenBucket(burst, now))
        bucket.tokens = min(burst, bucket.tokens + (now - bucket.filled_at) * client.rate)
        bucket.filled_at = now
        if bucket.tokens < 1:
            wait = (1 - bucket.tokens) / client.rate
            raise Refusal(429, f"you may send {client.rate:g} requests a second", retry_after=math.ceil(wait))
        bucket.tokens -= 1

    @contextmanager
    def admitted(self, client: Client) -> Iterator[Callable[[int], None]]:
        """Hold a slot while the block runs; call what it gives with the number of images to hold as many.

        Raises:
            Refusal: no slot is free (429), there or in that call.
        """
        own = 0

        def hold(images: int) -> None:
            nonlocal own
            more = images - own
            if self.held + more > self._slots or self._held[client.name] + more > self._each:
                raise Refusal(
                    429, "as many images as this service takes at once are at work", retry_after=self._retry_after()
                )
            self._held[client.name] += more
            own = images

        hold(1)
        try:
            yield hold
        finally:
            self._held[client.name] -= own

    def _retry_after(self) -> int:
        return max(1, math.ceil(self._wait()))
