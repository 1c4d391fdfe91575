"""Replicas: one oracle in several places, that answers as in one."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from oracles import Answers, HalfspaceOracle, OracleSpec, OracleUnavailable, SpecError
from oracles.replicas import ReplicatedOracle, replicated, several_devices
from oracles.zoo import local_vit
from tests.waiting import LONG

IMAGES = torch.rand(33, 1, 28, 28, generator=torch.Generator().manual_seed(1))


class Watched:
    """A half-space that waits at a barrier, so that calls must be under way at once, and counts its images."""

    def __init__(self, barrier: threading.Barrier | None = None, *, offset: float = 2.0) -> None:
        self.inner = HalfspaceOracle(normal=torch.ones(1, 2, 2), offset=offset)
        self.barrier = barrier
        self.asked: list[int] = []

    @property
    def spec(self) -> OracleSpec:
        return self.inner.spec

    def query(self, images: Tensor) -> Answers:
        self.asked.append(len(images))
        if self.barrier is not None:
            self.barrier.wait(timeout=LONG)
        return self.inner.query(images)


class Broken(Watched):
    def query(self, images: Tensor) -> Answers:
        raise OracleUnavailable("out of memory")


def shades(count: int) -> Tensor:
    return torch.linspace(0, 1, count)[:, None, None, None].expand(count, 1, 2, 2).contiguous()


def test_replicas_answer_as_one_oracle_bit_for_bit() -> None:
    alone, several = local_vit(device="cpu"), replicated(lambda device: local_vit(device=device), ("cpu", "cpu"))
    assert several.spec == alone.spec
    assert torch.equal(several.query(IMAGES).scores, alone.query(IMAGES).scores)  # type: ignore[arg-type]


def test_a_single_caller_has_all_replicas_at_work() -> None:
    barrier = threading.Barrier(3)  # each part is answered only when the two others are under way
    replicas = [Watched(barrier) for _ in range(3)]
    answers = ReplicatedOracle(replicas).query(shades(10))
    assert torch.equal(answers.labels, HalfspaceOracle(torch.ones(1, 2, 2), 2.0).query(shades(10)).labels)
    assert sorted(replica.asked for replica in replicas) == [[3], [3], [4]]


def test_calls_go_to_whichever_is_free() -> None:
    barrier = threading.Barrier(4)
    replicas = [Watched(barrier), Watched(barrier)]
    oracle = ReplicatedOracle(replicas)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: oracle.query(shades(1)), range(4)))  # one image cannot be divided
    assert [len(answer) for answer in answers] == [1, 1, 1, 1]
    assert [replica.asked for replica in replicas] == [[1, 1], [1, 1]]


def test_fewer_images_than_replicas_leave_some_alone() -> None:
    replicas = [Watched() for _ in range(3)]
    assert len(ReplicatedOracle(replicas).query(shades(2))) == 2
    assert [replica.asked for replica in replicas] == [[1], [1], []]


def test_what_one_replica_cannot_answer_is_an_error_and_the_next_call_is_not() -> None:
    good = Watched()
    oracle = ReplicatedOracle([good, Broken()])
    for _ in range(2):
        with pytest.raises(OracleUnavailable, match="out of memory"):
            oracle.query(shades(4))
    assert good.asked == [2, 2]  # a call that failed is no longer under way


def test_different_oracles_are_no_replicas() -> None:
    with pytest.raises(SpecError, match="one oracle in several places"):
        ReplicatedOracle([Watched(), Watched(offset=1.0)])
    with pytest.raises(SpecError, match="one oracle in several places"):
        ReplicatedOracle([])


def test_devices_that_answer_differently_are_refused() -> None:
    class Drifting:
        def __init__(self, error: float) -> None:
            self.inner, self.error = local_vit(device="cpu"), error

        @property
        def spec(self) -> OracleSpec:
            return self.inner.spec

        def query(self, images: Tensor) -> Answers:
            answers = self.inner.query(images)
            assert answers.scores is not None
            return Answers(answers.labels, answers.scores + self.error)

    with pytest.raises(SpecError, match="gives other scores on right than on left"):
        replicated(lambda device: Drifting(1e-5 if device == "right" else 0.0), ("left", "right"))


def test_devices_by_name() -> None:
    assert several_devices("cpu, cpu") == ("cpu", "cpu")
    if not torch.cuda.is_available():
        assert len(several_devices("all")) == 1
    with pytest.raises(SpecError, match="device must be auto, cpu, cuda"):
        several_devices("cpu,abacus")
    with pytest.raises(SpecError, match="this machine has no device 'cuda:99'"):
        several_devices("cuda:99,cpu")


def test_devices_must_be_of_one_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oracles.replicas.pick_device", torch.device)
    with pytest.raises(SpecError, match="devices must be of one kind, got cpu and mps"):
        several_devices("cpu,mps")
