"""Processor time of one query, thread for thread: the bare forward pass, a naive loop, ART, and `bbsmooth certify`.

All run Cohen's algorithm (n0 = 100, n = 5,000, batches of 256) on the same digits, with the same network and sigma, one
after the other in one process with one thread, again and again; so the allocator is set alike for all. The naive loop
draws torch's float noise, adds, asks and counts, and keeps nothing. ART is `PyTorchRandomizedSmoothing` of the packages
adversarial-robustness-toolbox and statsmodels; where they are not installed its row is left out. What loading a model
and opening a run take is left out everywhere: of bbsmooth, the difference between a run of five images and a run of one
counts.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from scipy.stats import beta
from torch import Tensor, nn

from bbsmooth.data import load
from experiments.throughput.run import certified
from oracles.checkpoint import Settings, read_header
from oracles.timm_models import build
from oracles.zoo import LOCAL_VIT

RESULT = Path(__file__).with_name("peers.json")
SIGMA, ALPHA, SELECTION, DRAWS, BATCH = 0.5, 0.001, 100, 5_000, 256
IMAGES, ROUNDS = 4, 7
QUERIES = IMAGES * (SELECTION + DRAWS)


def main() -> None:
    """Measure, print, and write `peers.json`."""
    torch.set_num_threads(1)
    network, images = _Normalised().eval(), load("mnist5k").images(range(IMAGES)).float() / 255
    ways: dict[str, Callable[[], float]] = {
        "bare": lambda: _timed(lambda: _bare(network.module)),
        "naive": lambda: _timed(lambda: _naive(network, images)),
        "bbsmooth": _bbsmooth,
    }
    if importlib.util.find_spec("art") is not None:
        smoothed = _art(network)
        ways["art"] = lambda: _timed(lambda: smoothed.certify(images.numpy(), n=DRAWS, batch_size=BATCH))
    for way in ways.values():
        way()
    rounds = [{name: way() for name, way in ways.items()} for _ in range(ROUNDS)]
    result = {
        "queries": QUERIES,
        "batch": BATCH,
        "microseconds_a_query": {
            name: round(1e6 * statistics.median(one[name] for one in rounds) / QUERIES, 1) for name in ways
        },
        "bbsmooth_to": {
            name: round(statistics.median(one["bbsmooth"] / one[name] for one in rounds), 3)
            for name in ways
            if name != "bbsmooth"
        },
        "art": version("adversarial-robustness-toolbox") if "art" in ways else None,
        "torch": torch.__version__,
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


class _Normalised(nn.Module):
    """What `local-vit` does: images (B, 1, 28, 28) in [0, 1], clipped and normalised, to logits."""

    def __init__(self) -> None:
        super().__init__()
        header = read_header(LOCAL_VIT)
        self.module = build(header.architecture or "", Settings(), checkpoint=LOCAL_VIT).module
        (self.mean,), (self.std,) = header.mean or (0.0,), header.std or (1.0,)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.module((images.clamp(0, 1) - self.mean) / self.std)
        return logits


def _timed(call: Callable[[], object]) -> float:
    """Seconds of processor time."""
    began = time.process_time()
    with torch.inference_mode():
        call()
    return time.process_time() - began


def _bare(module: nn.Module) -> None:
    """As many images as the others, one ready-made batch again and again; the last batch is in proportion."""
    pixels = torch.rand(BATCH, 1, 28, 28)
    for first in range(0, QUERIES, BATCH):
        module(pixels[: QUERIES - first])


def _naive(network: nn.Module, images: Tensor) -> list[float]:
    """Cohen's CERTIFY as one would write it down: the lower bound of each image."""
    bounds = []
    for image in images:
        selected, counts = (_counts(network, image, draws) for draws in (SELECTION, DRAWS))
        votes = int(counts[selected.argmax()])
        bounds.append(float(beta.ppf(ALPHA, votes, DRAWS - votes + 1)))
    return bounds


def _counts(network: nn.Module, image: Tensor, draws: int) -> Tensor:
    counts = torch.zeros(10, dtype=torch.int64)
    for first in range(0, draws, BATCH):
        noisy = image + SIGMA * torch.randn(min(BATCH, draws - first), *image.shape)
        counts += torch.bincount(network(noisy).argmax(1), minlength=10)
    return counts


def _art(network: nn.Module) -> Any:
    module = importlib.import_module("art.estimators.certification.randomized_smoothing")
    return module.PyTorchRandomizedSmoothing(
        model=network,
        loss=nn.CrossEntropyLoss(),
        input_shape=(1, 28, 28),
        nb_classes=10,
        device_type="cpu",
        sample_size=SELECTION,
        scale=SIGMA,
        alpha=ALPHA,
    )


def _bbsmooth() -> float:
    """Seconds of processor time that `IMAGES` more images take, with ledger, record and certificates on disk."""
    taken = []
    for count in (1, 1 + IMAGES):
        began = time.process_time()
        certified(images=count, draws=DRAWS, batch=BATCH, concurrency=1)
        taken.append(time.process_time() - began)
    return taken[1] - taken[0]


if __name__ == "__main__":
    main()
