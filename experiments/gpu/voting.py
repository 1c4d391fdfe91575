"""Votes of a ViT-B/16 with random weights in bfloat16, against its raw forward pass, all on the device."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bbsmooth.assemble import Account, Front, vote_source
from bbsmooth.certification import CohenPlan, run_cases
from bbsmooth.certification.methods.cases import opener
from bbsmooth.coordinator import Autoencoder, CleanedImage, EqualiserSpace, FoldedUNet, PretrainPlan, pretrain
from bbsmooth.noise import Gaussian
from bbsmooth.randomness import fork
from bbsmooth.settings.common import SmoothingConfig
from experiments.gpu.timing import seconds, settle
from oracles import Budget, Ledger, Purpose, ResponseStore
from oracles.checkpoint import Settings
from oracles.local import LocalOracle
from oracles.oracle import Classes
from oracles.timm_models import build

SIGMA = 0.25
RAW_BATCHES = (64, 128, 256, 512)
BATCH = 256
CLASSES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What is measured: a timm network, the side of its images, and how much is asked of it.

    Attributes:
        network: its name and what it is made with.
        side: of the images.
        draws: of each image.
        images: how many.
        raw: batches of the raw forward pass.
        batch: of the votes.
        times: that a raw pass is timed.
    """

    network: tuple[str, dict[str, Any]]
    side: int
    draws: int
    images: int
    raw: Sequence[int]
    batch: int
    times: int


FULL = Size(
    network=("vit_base_patch16_224", {}), side=224, draws=6_000, images=4, raw=RAW_BATCHES, batch=BATCH, times=20
)
TOY = Size(
    network=("vit_tiny_patch16_224", {"img_size": 32, "depth": 2}),
    side=32,
    draws=60,
    images=2,
    raw=(8, 16),
    batch=16,
    times=1,
)


def measured(device: torch.device, rehearse: bool) -> dict[str, Any]:
    """Return images a second of the raw forward pass, and queries a second of whole certifications beside it."""
    size = TOY if rehearse else FULL
    shape = (3, size.side, size.side)
    name, options = size.network
    torch.manual_seed(0)
    module = build(name, Settings(num_classes=CLASSES, model_args=options), weights="random").module
    oracle = LocalOracle(
        module,
        name=name,
        architecture=repr(size.network),
        classes=Classes.numbered(CLASSES),
        image_shape=shape,
        device=str(device),
        dtype="bfloat16",
    )
    images = torch.randint(0, 256, (size.images, *shape), dtype=torch.uint8, generator=fork(1, "gpu", "votes"))
    raw = {str(batch): round(_raw(module, shape, batch, device, size.times), 1) for batch in size.raw}
    best = max(raw.values())
    bare, fronted = Front(None, SIGMA), Front(None, SIGMA, _coordinator(shape))
    ways = {
        "bare, two calls at once": (bare, 2),
        "bare, one call at a time": (bare, 1),
        "coordinator, two calls at once": (fronted, 2),
    }
    votes: dict[str, Any] = {}
    for what, (front, concurrency) in ways.items():
        rates = [_votes(oracle, front, images, size, concurrency, device) for _ in range(1 if rehearse else 3)]
        votes[what] = {
            "queries_a_second": [round(rate, 1) for rate in rates],
            "of_raw": round(sorted(rates)[len(rates) // 2] / best, 3),
        }
    memory = torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else 0
    return {
        "network": name,
        "dtype": "bfloat16",
        "raw_images_a_second_by_batch": raw,
        "votes": votes,
        "queries_a_run": size.images * (100 + size.draws),
        "batch": size.batch,
        "peak_memory_mib": round(memory),
    }


def _raw(module: nn.Module, shape: tuple[int, int, int], batch: int, device: torch.device, times: int) -> float:
    """Images a second of the module on one ready-made batch, again and again."""
    pixels = torch.rand(batch, *shape).to(device, torch.bfloat16)
    with torch.inference_mode():
        return batch / seconds(lambda: module(pixels), device, times=times)


def _coordinator(shape: tuple[int, int, int]) -> tuple[Autoencoder, Tensor]:
    """One of the usual size for such images, hardly trained: that changes no speed."""
    few = torch.randint(0, 256, (8, *shape), dtype=torch.uint8, generator=fork(1, "gpu", "coordinator"))
    made = pretrain(
        few,
        noise=Gaussian(SIGMA),
        form=CleanedImage(),
        space=EqualiserSpace(),
        plan=PretrainPlan(epochs=1),
        seed=0,
        architecture=FoldedUNet.for_images(shape),
    )
    return made, made.initial_parameters()


def _votes(
    oracle: LocalOracle, front: Front, images: Tensor, size: Size, concurrency: int, device: torch.device
) -> float:
    """Queries a second of a certification, with ledger and record on disk."""
    smoothing = SmoothingConfig(sigma=SIGMA, noise="gaussian", coordinator=None, seed=0)
    plan = CohenPlan(noise=Gaussian(SIGMA), num_selection=100, num_estimation=size.draws, alpha=0.001)
    purposes = (Purpose.SELECT, Purpose.ESTIMATE)
    with tempfile.TemporaryDirectory() as folder:
        store = ResponseStore(Path(folder) / "responses")
        ledger = Ledger(Budget(), Path(folder) / "ledger.json")
        votes = vote_source(oracle, front, smoothing, Account(ledger, store), purposes)
        oracle.query(images)  # warms up
        settle(device)
        began = time.perf_counter()
        done = run_cases(
            enumerate(images),
            opener(plan, votes, earlier=None),
            votes,
            batch_size=size.batch,
            concurrency=concurrency,
            remaining=lambda: None,
        )
        assert len(list(done)) == len(images)
        rate = ledger.total / (time.perf_counter() - began)
        store.close()
    return rate
