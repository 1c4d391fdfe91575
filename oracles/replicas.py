"""One local oracle on several devices: equal replicas, and calls that go to whichever is free."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from oracles.errors import SpecError
from oracles.local import pick_device
from oracles.oracle import Answers, Oracle, OracleSpec

ALL = "all"
"""Stands for every GPU of the machine, or for the one device that it has."""

_PROBES = 8


@dataclass(frozen=True, slots=True, eq=False)
class ReplicatedOracle:
    """Several copies of one oracle that answer as one, also to several threads at once.

    A call goes to the replicas with the fewest calls under way. Where several are idle they share its images evenly, so
    that a caller who waits for each answer has all devices at work too. Which of them answers an image must not matter:
    see `replicated`.

    Args:
        replicas: the copies.

    Raises:
        SpecError: there is none, or their fingerprints differ.
    """

    replicas: Sequence[Oracle]
    _under_way: list[int] = field(init=False, repr=False)
    _lock: threading.Lock = field(init=False, repr=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Refuse what are no replicas."""
        if len({replica.spec.fingerprint for replica in self.replicas}) != 1:
            raise SpecError(f"replicas must be one oracle in several places, got {[one.spec for one in self.replicas]}")
        object.__setattr__(self, "_under_way", [0] * len(self.replicas))

    @property
    def spec(self) -> OracleSpec:
        """As of each replica."""
        return self.replicas[0].spec

    def query(self, images: Tensor) -> Answers:
        """Answer a batch, in order. An error of one replica is raised when all have come to an end."""
        self.spec.check(images)
        with self._chosen(len(images)) as chosen:
            if len(chosen) == 1:
                return chosen[0].query(images)
            with ThreadPoolExecutor(len(chosen), thread_name_prefix="replica") as pool:
                answers = pool.map(_ask, chosen, torch.tensor_split(images, len(chosen)))
                return Answers.join(list(answers))

    @contextmanager
    def _chosen(self, images: int) -> Iterator[list[Oracle]]:
        """The idle replicas, or else the one with the least to do."""
        with self._lock:
            numbers = [number for number, calls in enumerate(self._under_way) if not calls][:images]
            numbers = numbers or [self._under_way.index(min(self._under_way))]
            for number in numbers:
                self._under_way[number] += 1
        try:
            yield [self.replicas[number] for number in numbers]
        finally:
            with self._lock:
                for number in numbers:
                    self._under_way[number] -= 1


def replicated(open_on: Callable[[str], Oracle], devices: Sequence[str]) -> ReplicatedOracle:
    """An oracle on each of several devices, once it is known that they answer alike.

    They are asked about the same few random images, and must give the same scores, bit for bit: results could not be
    repeated if they depended on which device was free.

    Args:
        open_on: from the name of a device to the oracle there.
        devices: see `several_devices`.

    Raises:
        SpecError: two of them answer differently; or whatever `open_on` raises.
    """
    oracle = ReplicatedOracle([open_on(device) for device in devices])
    shape = oracle.spec.image_shape
    if shape is not None:
        probe = torch.rand(_PROBES, *shape, generator=torch.Generator().manual_seed(0))
        first, *others = [replica.query(probe) for replica in oracle.replicas]
        for device, other in zip(devices[1:], others, strict=True):
            if not _equal(first, other):
                raise SpecError(
                    f"{oracle.spec.name} gives other scores on {device} than on {devices[0]}, so results would depend "
                    "on which was free; name devices that are alike"
                )
    return oracle


def several_devices(names: str) -> tuple[str, ...]:
    """The devices in a list like "cuda:0,cuda:1", or `ALL`; one that stands there twice gets two replicas.

    Raises:
        SpecError: an unknown device, one that this machine does not have, or devices of several kinds, whose
            arithmetic differs.
    """
    if names == ALL:
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        return tuple(f"cuda:{number}" for number in range(count)) or (str(pick_device("auto")),)
    listed = tuple(name.strip() for name in names.split(","))
    kinds = {_kind(pick_device(name)) for name in listed}
    if len(kinds) > 1:
        raise SpecError(
            f"devices must be of one kind, got {' and '.join(sorted(kinds))} in {names!r}: their answers differ in the "
            "last digits, so results would depend on which was free"
        )
    return listed


def _ask(oracle: Oracle, images: Tensor) -> Answers:
    return oracle.query(images)


def _kind(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _equal(first: Answers, second: Answers) -> bool:
    if first.scores is None or second.scores is None:
        return torch.equal(first.labels, second.labels)
    return torch.equal(first.scores, second.scores)
