"""Several processes that train one model together: each takes its part of every batch, gradients are added up.

The result is that of one process with the same batches, up to the order in which floats are added. So nothing here is
drawn, judged or written once for each process: order and noise are drawn for the whole batch, and each process cuts its
part out; the first process alone reads and writes the run directory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

from bbsmooth.errors import UsageError
from bbsmooth.whitebox.adaptation import batch_normalisation
from oracles.local import pick_device

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shard:
    """One process's part of a batch.

    Attributes:
        rows: of the batch.
        whole: images in the batch.
        each: how much an image of this part counts, below 1 where it is in other processes' parts too.
    """

    rows: slice
    whole: int
    each: float = 1.0

    @property
    def count(self) -> int:
        """Images in the part."""
        return len(range(self.whole)[self.rows])

    @property
    def weight(self) -> float:
        """By which a mean over the part enters the mean over the batch."""
        return self.each * self.count / self.whole


@dataclass(frozen=True, slots=True)
class Group:
    """The processes at work; one alone unless `joined` says otherwise.

    Attributes:
        rank: number of this process, from 0.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """True for the process that reads, writes and speaks for all."""
        return self.rank == 0

    def shard(self, whole: int) -> Shard:
        """This process's part of a batch of `whole` images.

        Parts differ by one image at most. A batch with fewer images than processes is taken whole by each.
        """
        if whole < self.size:
            return Shard(slice(0, whole), whole, each=1 / self.size)
        small, larger = divmod(whole, self.size)
        first = self.rank * small + min(self.rank, larger)
        return Shard(slice(first, first + small + (self.rank < larger)), whole)

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes."""
        if self.size > 1:
            for work in [distributed.all_reduce(tensor, async_op=True) for tensor in tensors]:
                if work is not None:
                    work.wait()

    def same(self, value: T) -> T:
        """The value of the first process."""
        if self.size == 1:
            return value
        values: list[Any] = [value if self.leads else None]
        distributed.broadcast_object_list(values)
        agreed: T = values[0]
        return agreed

    def align(self, module: nn.Module) -> None:
        """Give all processes the first one's weights and buffers."""
        if self.size > 1:
            for tensor in (*module.parameters(), *module.buffers()):
                distributed.broadcast(tensor.data, src=0)

    def synchronised(self, module: nn.Module) -> nn.Module:
        """The module with batch statistics that are taken over whole batches, where it takes any.

        Raises:
            UsageError: it does, on a processor for which torch cannot.
        """
        takes = any(layer.training for layer in batch_normalisation(module))
        if self.size == 1 or not takes:
            return module
        if next(module.parameters()).device.type == "cpu":
            raise UsageError(
                "this model normalises by batch statistics, which processes on CPUs cannot share; train it on GPUs, "
                "or in one process"
            )
        from timm.layers.norm_act import convert_sync_batchnorm  # torch's own would drop activations that timm fuses

        converted: nn.Module = convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]
        return converted


ALONE = Group()
"""One process, which is also what there is where nobody speaks of processes."""


def announced() -> Group:
    """The processes that `torchrun` or the like has started, by the environment that it gave them."""
    return Group(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))


@contextmanager
def joined(device: str) -> Iterator[tuple[Group, torch.device]]:
    """Meet the other processes, if there are any, and part from them at the end.

    Args:
        device: where to compute, see `pick_device`; of several processes each gets a GPU of its own for "auto".

    Yields:
        The processes, and the device of this one.

    Raises:
        UsageError: one device for all, or accelerate is not installed.
        SpecError: no such device.
    """
    group = announced()
    if group.size == 1:
        yield ALONE, pick_device(device)
        return
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"each of {group.size} processes needs a device of its own, got `device` {device}; use auto")
    on_cpu = pick_device(device).type == "cpu"
    try:
        accelerate = import_module("accelerate")
    except ImportError as error:
        raise UsageError("training in several processes needs accelerate; install bbsmooth[train]") from error
    state = accelerate.PartialState(cpu=on_cpu)
    try:
        yield Group(state.process_index, state.num_processes), state.device
    finally:
        state.destroy_process_group()
