"""Votes on a device: the processor stands for one here, with noise drawn by torch; with CUDA at hand, that too."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bbsmooth.certification import Draws
from bbsmooth.coordinator import Autoencoder, CleanedImage, CoordinatedOracle, FilmSpace, FoldedUNet, Scaling, save
from bbsmooth.engines import on_device as voting
from bbsmooth.engines.answering import Answering, WorkerSpec
from bbsmooth.engines.deferred import DeferredImages
from bbsmooth.engines.on_device import VoterOnDevice, voter_on_devices
from bbsmooth.noise import Gaussian, Grid, NoisyCopies, on_device
from bbsmooth.noise.algorithms import ZIGGURAT
from bbsmooth.randomness import fork
from bbsmooth.runs.layout import COORDINATOR
from oracles import Oracle
from oracles.replicas import ReplicatedOracle, replicated
from oracles.zoo import local_vit
from tests.bbsmooth.cli.world import bbsmooth
from tests.builders import halfspace

CPU = torch.device("cpu")
NOISE = Gaussian(0.5)
COPIES = NoisyCopies(noise=NOISE, grid=Grid.fitting(NOISE, eight_bit=False), seed=1)
CERTIFY = ("certify", "--oracle", "local-vit", "--data", "mnist5k", "--sigma", 0.5)
IMAGES = torch.randint(0, 256, (3, 1, 28, 28), dtype=torch.uint8, generator=fork(1))


@pytest.fixture
def as_device(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on the processor is a device like others, and nothing is drawn by NumPy."""

    def begin() -> None:
        def refuse(*arguments: Any, **options: Any) -> Tensor:
            raise AssertionError("drawn by NumPy")

        monkeypatch.setattr(on_device, "BY_NUMPY", frozenset())
        monkeypatch.setattr(Grid, "noisy", refuse)

    return begin


def network() -> tuple[Autoencoder, Tensor]:
    architecture = FoldedUNet.for_images((1, 28, 28))
    weights = architecture.initial_weights(fork(2))
    weights |= {f"{name}.unit": torch.ones(architecture.layers[name].outputs) for name in architecture.decoder_layers}
    scaling = Scaling(sigma=0.5, mean=0.3, spread=0.3)
    made = Autoencoder(
        architecture=architecture, scaling=scaling, form=CleanedImage(), space=FilmSpace(), weights=weights
    )
    return made, 0.1 * torch.randn(made.initial_parameters().shape, generator=fork(3))


def deferred(copies: NoisyCopies = COPIES) -> DeferredImages:
    draws = [
        Draws(image, copies.stream(image, "estimate"), first, count)
        for image, first, count in zip(IMAGES, (0, 5, 40), (7, 1, 70), strict=True)
    ]
    return DeferredImages.of(copies, tuple(draws), torch.float32)


def fronted(oracle: Oracle, device: torch.device) -> Oracle:
    return CoordinatedOracle(*network(), oracle, device)


def scores(oracle: Oracle, images: Tensor) -> Tensor:
    found = oracle.query(images).scores
    assert found is not None
    return found


def certificates(run: Path) -> list[dict[str, Any]]:
    lines = (run / "certificates.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]


@pytest.mark.parametrize("devices", ["cpu", "cpu,cpu"])
def test_certificates_are_those_of_the_processor(devices: str, tmp_path: Path, as_device: Callable[[], None]) -> None:
    save(tmp_path / COORDINATOR, *network(), queries=0)
    asked = (*CERTIFY, "--coordinator", tmp_path, "--n0", 10, "--n", 120, "--limit", 3, "--batch-size", 50)
    assert bbsmooth(*asked, "--device", "cpu", "--out", tmp_path / "numpy").status == 0
    as_device()
    done = bbsmooth(*asked, "--devices" if "," in devices else "--device", devices, "--out", tmp_path / "torch")
    assert done.status == 0, done.err
    assert certificates(tmp_path / "torch") == certificates(tmp_path / "numpy")


def test_pieces_change_no_answer(monkeypatch: pytest.MonkeyPatch, as_device: Callable[[], None]) -> None:
    voter, expected = VoterOnDevice(fronted(local_vit(device="cpu"), CPU), CPU), deferred().clone()
    whole = scores(voter.classifier, expected)
    as_device()
    for values in (1, 10 * 784, 1_000 * 784):
        monkeypatch.setattr(voting, "_VALUES_AT_ONCE", values)
        assert torch.equal(scores(voter, deferred()), whole)


def test_noise_of_an_earlier_version_is_drawn_by_numpy_and_taken_to_the_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copies = NoisyCopies(noise=NOISE, grid=Grid.fitting(NOISE, eight_bit=False, algorithm=ZIGGURAT), seed=1)
    oracle = local_vit(device="cpu")
    monkeypatch.setattr(on_device, "BY_NUMPY", frozenset())
    assert torch.equal(scores(VoterOnDevice(oracle, CPU), deferred(copies)), scores(oracle, deferred(copies).clone()))


def test_images_that_are_there_are_answered_as_they_are() -> None:
    oracle = fronted(local_vit(device="cpu"), CPU)
    images = torch.rand(5, 1, 28, 28, generator=fork(5))
    assert torch.equal(scores(VoterOnDevice(oracle, CPU), images), scores(oracle, images))


def test_each_replica_draws_its_own_part(as_device: Callable[[], None]) -> None:
    several = replicated(lambda device: local_vit(device=device), ("cpu", "cpu"))
    expected = scores(fronted(several.replicas[0], CPU), deferred().clone())
    as_device()
    voter = voter_on_devices(several, fronted)
    assert isinstance(voter, ReplicatedOracle)
    assert len(voter.replicas) == 2
    assert torch.equal(scores(voter, deferred()), expected)


def test_who_computes_where_numpy_draws_or_nobody_knows_where_is_given_images(as_device: Callable[[], None]) -> None:
    assert voter_on_devices(local_vit(device="cpu"), fronted) is None
    as_device()
    assert voter_on_devices(halfspace(), fronted) is None
    assert voter_on_devices(local_vit(device="cpu"), fronted) is not None


def test_a_worker_draws_where_its_oracle_computes(as_device: Callable[[], None]) -> None:
    spec = WorkerSpec(opening=lambda: local_vit(device="cpu"), front=network(), folder=Path.cwd())
    expected = fronted(local_vit(device="cpu"), CPU).query(deferred().clone()).labels
    as_device()
    reply = Answering(spec).answer(deferred(), voting=True)
    assert reply.labels.tolist() == expected.tolist()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_cuda_the_network_sees_the_very_images_that_numpy_draws(tmp_path: Path) -> None:
    device = torch.device("cuda")
    oracle = fronted(local_vit(device="cuda"), device)
    assert torch.equal(scores(VoterOnDevice(oracle, device), deferred()), scores(oracle, deferred().clone()))
    save(tmp_path / COORDINATOR, *network(), queries=0)
    asked = (*CERTIFY, "--coordinator", tmp_path, "--n0", 10, "--n", 300, "--limit", 4, "--device", "cuda")
    for run, more in (("one", ("--concurrency", 1, "--batch-size", 256)), ("two", ("--batch-size", 100))):
        assert bbsmooth(*asked, *more, "--out", tmp_path / run).status == 0
    assert certificates(tmp_path / "one") == certificates(tmp_path / "two")
