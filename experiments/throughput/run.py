"""Throughput of `bbsmooth certify` on the local ViT, relative to the raw forward pass of the same model; memory by n.

The two alternate within one process, on the same machine and threads: A B A B ... The ratio of each pair is recorded,
and their median is the figure; the ratio of the best runs stands beside it, because the raw pass varies with where the
allocator puts its tensors. Everything that certification does is inside: drawing noise, charging, recording, votes.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from bbsmooth.commands.by_name import certify
from bbsmooth.settings.certify import CertifyConfig
from bbsmooth.settings.common import DataConfig, OracleConfig, SmoothingConfig
from oracles.checkpoint import Settings, read_header
from oracles.timm_models import build
from oracles.zoo import LOCAL_VIT

RESULT = Path(__file__).with_name("result.json")
BATCHES = (64, 256)
DRAWS = 5_000
IMAGES = 8
PAIRS = 7
EARLY_IMAGES = 150
"""For decisions that stop early, of which each image takes few queries."""

MEMORY_DRAWS = (2_000, 20_000)


def main() -> None:
    """Measure, print, and write `result.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory", type=int, help=argparse.SUPPRESS)  # child process: peak memory of one run
    arguments = parser.parse_args()
    if arguments.memory:
        certified(images=1, draws=arguments.memory, batch=BATCHES[-1])
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return
    result = measure()
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def measure() -> dict[str, Any]:
    """All figures."""
    return {
        "queries_per_run": IMAGES * (100 + DRAWS),
        "by_batch_size": {str(batch): _ratios(batch, images=IMAGES, method="cohen") for batch in BATCHES},
        "early_stopping_by_batch_size": {
            str(batch): _ratios(batch, images=EARLY_IMAGES, method="sequential") for batch in BATCHES
        },
        "one_thread_by_batch_size": {str(batch): _on_one_thread(batch) for batch in BATCHES},
        "peak_memory_mib_by_n": {str(draws): _peak_memory(draws) for draws in MEMORY_DRAWS},
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "machine": platform.machine(),
    }


def _on_one_thread(batch: int) -> dict[str, Any]:
    """Thread for thread: one call at once, in one thread, beside the forward pass in one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _ratios(batch, images=IMAGES // 2, method="cohen", concurrency=1)
    finally:
        torch.set_num_threads(threads)


def _ratios(batch: int, *, images: int, method: str, concurrency: int = 2) -> dict[str, Any]:
    certified(images=1, draws=batch, batch=batch, method=method, concurrency=concurrency)  # warm up
    raw_seconds(4 * batch, batch=batch)
    pairs = []
    for _ in range(PAIRS):
        seconds, queries = certified(images=images, draws=DRAWS, batch=batch, method=method, concurrency=concurrency)
        pairs.append((queries / raw_seconds(queries, batch=batch), queries / seconds))
    ratios = [certified / raw for raw, certified in pairs]
    return {
        "raw_images_per_second": [round(raw) for raw, _ in pairs],
        "certify_queries_per_second": [round(certified) for _, certified in pairs],
        "ratio_of_each_pair": [round(ratio, 3) for ratio in ratios],
        "ratio_median": round(statistics.median(ratios), 3),
        "ratio_of_the_best_runs": round(max(rate for _, rate in pairs) / max(rate for rate, _ in pairs), 3),
    }


def raw_seconds(images: int, *, batch: int) -> float:
    """Time of the bare module on one ready-made batch, again and again."""
    module = build(read_header(LOCAL_VIT).architecture or "", Settings(), checkpoint=LOCAL_VIT).module.eval()
    pixels = torch.rand(batch, 1, 28, 28)
    with torch.inference_mode():
        module(pixels)
        began = time.perf_counter()
        for _ in range(images // batch):
            module(pixels)
    return (time.perf_counter() - began) * images / (images // batch * batch)


def certified(*, images: int, draws: int, batch: int, method: str = "cohen", concurrency: int = 2) -> tuple[float, int]:
    """Wall time and queries of a whole certification, after the data and the model are loaded once."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        certify(
            out,
            oracle=OracleConfig(
                oracle="local-vit",
                device="cpu",
                dtype="float32",
                batch_size=batch,
                concurrency=concurrency,
                budget=None,
                price=None,
                max_price=None,
            ),
            smoothing=SmoothingConfig(sigma=0.5, noise="gaussian", coordinator=None, seed=0),
            images=DataConfig(data="mnist5k", resize=False, data_root=None, download=False),
            config=CertifyConfig(
                num_selection=100,
                num_estimation=draws,
                alpha=0.001,
                radii=(0.25, 0.5),
                limit=images,
                method=method,
            ),
            resume=False,
        )
        seconds = json.loads((out / "summary.json").read_text())["seconds"]
        spent = json.loads((out / "ledger.json").read_text())["spent_total"]
    return float(seconds), int(spent)


def _peak_memory(draws: int) -> int:
    command = [sys.executable, "-m", "experiments.throughput.run", "--memory", str(draws)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]) // 1024


if __name__ == "__main__":
    main()
