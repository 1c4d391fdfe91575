"""What one request has reserved and put to work, ended exactly once whatever becomes of it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from torch import Tensor

from bbsmooth.serving.smoothed.accounts import Account
from bbsmooth.serving.smoothed.fresh import FreshCases
from bbsmooth.serving.smoothed.mixing import Mixer, Ticket


@dataclass(slots=True)
class Order:
    """Images of one client. Its methods wait for the disk and for each other; any thread may call them.

    Args:
        owner: name of the client.
        account: pays.
        images: (B, C, H, W) uint8.

    Attributes:
        tickets: of the images, once they are at work.
    """

    owner: str
    account: Account
    images: Tensor
    tickets: list[Ticket] = field(default_factory=list)
    _reserved: int = 0
    _ended: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, cases: FreshCases, mixer: Mixer) -> None:
        """Reserve all that the images may take, and put them to work.

        Raises:
            Refusal: see `Account.reserve`.
        """
        with self._lock:
            if self._ended:
                return
            most = len(self.images) * cases.most_queries
            self.account.reserve(most)
            self._reserved = most
            self.tickets += [mixer.submit(cases.open(image), owner=self.owner) for image in self.images]

    def end(self, mixer: Mixer) -> None:
        """Ask about nothing more, and give back what was not taken. Done once, however often it is called."""
        with self._lock:
            if self._reserved and not self._ended:
                self.account.settle(self._reserved, sum(map(mixer.drop, self.tickets)))
            self._ended = True
