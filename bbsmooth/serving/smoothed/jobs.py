"""A request's images and the queries reserved for them, settled exactly once whatever becomes of it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from torch import Tensor

from bbsmooth.serving.smoothed.accounts import ClientAccount
from bbsmooth.serving.smoothed.fair_batching import FairBatcher, ImageRequest
from bbsmooth.serving.smoothed.fresh import FreshCases


@dataclass(slots=True)
class Job:
    """Images of one client. Its methods wait for the disk and for each other; any thread may call them.

    Args:
        owner: name of the client.
        account: pays.
        images: (B, C, H, W) uint8.

    Attributes:
        requests: of the images, once they are at work.
    """

    owner: str
    account: ClientAccount
    images: Tensor
    requests: list[ImageRequest] = field(default_factory=list)
    _reserved: int = 0
    _ended: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, cases: FreshCases, batcher: FairBatcher) -> None:
        """Reserve all that the images may take, and put them to work.

        Raises:
            Refusal: as `ClientAccount.reserve`.
        """
        with self._lock:
            if self._ended:
                return
            most = len(self.images) * cases.most_queries
            self.account.reserve(most)
            self._reserved = most
            self.requests += [batcher.submit(cases.open(image), owner=self.owner) for image in self.images]

    def finish(self, batcher: FairBatcher) -> None:
        """Ask about nothing more, and give back what was not taken. Done once, however often it is called."""
        with self._lock:
            if self._reserved and not self._ended:
                self.account.settle(self._reserved, sum(map(batcher.drop, self.requests)))
            self._ended = True
