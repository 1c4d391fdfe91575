"""Several processes that train one model: what comes out is what one process makes of the same batches."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn

from bbsmooth.errors import UsageError
from bbsmooth.noise import Gaussian, noise_called
from bbsmooth.whitebox.distributed import ALONE, Group, Shard, announced, joined
from bbsmooth.whitebox.fitting import Epoch, FitPlan, fit
from bbsmooth.whitebox.noising import Noising
from bbsmooth.whitebox.objectives import OBJECTIVES, TrainingObjective
from tests.bbsmooth.whitebox.test_fitting import network, stripes, weights
from tests.waiting import LONG


@dataclass(slots=True)
class Meeting:
    """Where threads that stand for processes add up their tensors."""

    size: int
    barrier: threading.Barrier = field(init=False)
    brought: list[Sequence[Tensor]] = field(init=False)

    def __post_init__(self) -> None:
        self.barrier = threading.Barrier(self.size, timeout=LONG)
        self.brought = [()] * self.size

    def add(self, rank: int, tensors: Sequence[Tensor]) -> None:
        self.brought[rank] = [tensor.clone() for tensor in tensors]
        self.barrier.wait()
        sums = [torch.stack(parts).sum(0) for parts in zip(*self.brought, strict=True)]
        self.barrier.wait()
        for tensor, total in zip(tensors, sums, strict=True):
            tensor.copy_(total)


class QueryExecutor(Group):
    """One of the threads."""

    __slots__ = ("meeting",)

    def add(self, tensors: Sequence[Tensor]) -> None:
        self.meeting.add(self.rank, tensors)  # type: ignore[attr-defined]


def member(rank: int, meeting: Meeting) -> Group:
    group = QueryExecutor(rank, meeting.size)
    object.__setattr__(group, "meeting", meeting)
    return group


def trained(module: nn.Module, objective: TrainingObjective, group: Group) -> tuple[Tensor, list[float]]:
    """Weights and losses in float64, where a sum in another order changes next to nothing."""
    epochs: list[Epoch] = []
    fit(
        module,
        lambda images: module(images.double()),
        stripes(49),  # batches of 16, and a last one of a single image
        noise=Gaussian(0.25),
        objective=objective,
        plan=FitPlan(epochs=3, batch_size=16, learning_rate=1e-2),
        seed=5,
        after=lambda epoch, state: epochs.append(epoch),
        group=group,
    )
    return weights(module), [epoch.loss for epoch in epochs]


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
def test_the_result_is_that_of_one_process(objective: TrainingObjective) -> None:
    modules = [network().double() for _ in range(4)]  # here, since threads have one global generator
    alone, losses = trained(modules[3], objective, ALONE)
    meeting = Meeting(3)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda rank: trained(modules[rank], objective, member(rank, meeting)), range(3)))
    for weights_, losses_ in found:
        assert torch.allclose(weights_, alone, rtol=0, atol=1e-9)
        assert losses_ == pytest.approx(losses, abs=1e-9)
    assert torch.equal(found[0][0], found[1][0])


@pytest.mark.parametrize("whole", [1, 2, 3, 4, 7, 16])
def test_shards_cover_a_batch_and_weigh_as_one(whole: int) -> None:
    shards = [Group(rank, 3).shard(whole) for rank in range(3)]
    assert sum(shard.weight for shard in shards) == pytest.approx(1)
    covered = [row for shard in shards for row in range(whole)[shard.rows]]
    assert sorted(covered) == sorted(list(range(whole)) * (1 if whole >= 3 else 3))
    assert max(shard.count for shard in shards) - min(shard.count for shard in shards) <= 1


def test_one_process_has_everything() -> None:
    shard = ALONE.shard(5)
    assert (shard.rows, shard.weight, ALONE.leads) == (slice(0, 5), 1.0, True)
    assert ALONE.same("word") == "word"


@pytest.mark.parametrize("name", ["gaussian", "uniform", "laplace"])
def test_an_image_gets_the_same_noise_whoever_trains_on_it(name: str) -> None:
    def noise(shard: Shard | None, count: int) -> Tensor:
        draws = Noising(noise_called(name, 0.5), torch.Generator().manual_seed(1), shard)  # type: ignore[arg-type]
        return draws.like(torch.zeros(2 * count, 1, 4, 4)).view(2, count, 1, 4, 4)  # two copies of each image

    parts = [noise(shard, shard.count) for shard in (Group(rank, 3).shard(7) for rank in range(3))]
    assert torch.equal(torch.cat(parts, 1), noise(None, 7))


def test_batch_statistics_cannot_be_shared_on_cpus() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    assert ALONE.synchronised(module) is module
    assert Group(0, 2).synchronised(module.eval()) is module
    with pytest.raises(UsageError, match="batch statistics, which processes on CPUs cannot share"):
        Group(0, 2).synchronised(module.train())


def test_activations_that_timm_fuses_with_normalisation_stay() -> None:
    fused = BatchNormAct2d(2, act_layer=nn.ReLU, device="meta")
    found = Group(0, 2).synchronised(nn.Sequential(fused).train())
    kinds = [type(part) for part in found.modules()]
    assert any(issubclass(kind, nn.SyncBatchNorm) for kind in kinds)
    assert nn.ReLU in kinds


def test_the_environment_says_who_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert announced() == ALONE
    with joined("cpu") as (group, device):
        assert (group, device) == (ALONE, torch.device("cpu"))
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert (announced().leads, announced().size) == (False, 2)
    with pytest.raises(UsageError, match="each of 2 processes needs a device of its own, got `device` cuda:1"):
        joined("cuda:1").__enter__()
