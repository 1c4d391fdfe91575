"""Votes on a device: noise, coordinator and oracle compute there, and one copy comes back for an answered batch."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bbsmooth.engines.deferred import DeferredImages
from bbsmooth.noise import on_device
from oracles import Answers, Oracle, OracleSpec
from oracles.capabilities import device_of, replicas_of
from oracles.replicas import ReplicatedOracle

if TYPE_CHECKING:
    from torch.cuda import Stream

_VALUES_AT_ONCE = 2**26
"""Pixel values of noisy images that are in a device's memory at a time, for each call under way."""


def voter_on_devices(oracle: Oracle, before: Callable[[Oracle, torch.device], Oracle]) -> Oracle | None:
    """Return the oracle with all that stands before it, on the devices where it computes.

    None for an oracle that computes where NumPy draws noise, or elsewhere: it is given images.

    Args:
        oracle: the bare one, or replicas of it.
        before: from an oracle and its device to the oracle with what stands before it, on that device.
    """
    voters = [
        VoterOnDevice(before(replica, device), device)
        for replica in replicas_of(oracle)
        if (device := device_of(replica)) is not None and device.type not in on_device.BY_NUMPY
    ]
    if len(voters) < len(replicas_of(oracle)):
        return None
    return voters[0] if len(voters) == 1 else ReplicatedOracle(voters)


@dataclass(frozen=True, slots=True)
class VoterOnDevice:
    """Draws deferred images on the device that answers them. Several threads may call `query` at once.

    On CUDA each call has a stream of its own, so that one batch is prepared while another is answered.

    Args:
        classifier: takes images on the device, and gives answers on the processor.
        device: where it computes.
    """

    classifier: Oracle
    device: torch.device

    @property
    def spec(self) -> OracleSpec:
        """As inside."""
        return self.classifier.spec

    def query(self, images: Tensor) -> Answers:
        """Answer a batch, in pieces where it is large."""
        self.spec.check(images)
        with _own_stream(self.device):
            if not isinstance(images, DeferredImages):
                return self.classifier.query(images)
            most = max(1, _VALUES_AT_ONCE // images.shape[1:].numel())
            return Answers.join([self.classifier.query(part) for part in images.drawn(most, self.device)])


_free_streams: defaultdict[torch.device, deque[Stream]] = defaultdict(deque)


@contextmanager
def _own_stream(device: torch.device) -> Iterator[None]:
    """Let a block's work on a CUDA device be in a stream that no other block uses meanwhile.

    It begins after what was put into the default stream, such as weights. Nothing but copies on the processor may leave
    the block. Streams are used again, since memory that was freed in one serves that one alone.
    """
    if device.type != "cuda":
        yield
        return
    free = _free_streams[device]
    try:
        stream = free.pop()
    except IndexError:
        stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.default_stream(device))
    try:
        with torch.cuda.stream(stream):
            yield
    finally:
        free.append(stream)
