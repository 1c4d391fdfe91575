"""ImageNet size through somebody else's server: MobileNets behind LitServe, bare, denoised and tuned.

`python -m experiments.natural.served` certifies pictures of 224 x 224 (V1: 192 x 192) that no denoiser was trained on,
and writes `served.json`: certified accuracy, queries, seconds, megabytes on the wire, memory of the client and of the
server. `--models`, `--sigma` and `--rows` choose a part. Runs are kept in `runs/natural-served`: one that was stopped
goes on, and more `--images` are added to those that are there. Needs what `experiments.natural.served_model` needs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from bbsmooth import data
from experiments.natural.results import keep
from experiments.natural.served_model import FILES, OUTPUTS, SIDES
from experiments.processes import running
from experiments.tuning.resnet20 import shared

RESULT = Path(__file__).with_name("served.json")
FOLDER = Path("runs/natural-served")
SIGMAS = (0.05, 0.1, 0.25)
TUNED = "tuned"
ROWS = ("bare", "natural", "natural-small", TUNED)
IMAGES, SELECTION, MOST = 100, 20, 300
START, BUDGET = "natural-small", 2_000
"""Of the row `tuned`: the denoiser that it starts from, and its queries."""
_EVERY = 5
"""Every fifth picture judges: the others trained the denoisers, and tune."""

_MIB = 2**20


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what was chosen, one run after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=FILES, default=["v2", "v1"])
    parser.add_argument("--sigma", nargs="+", type=float, default=SIGMAS)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--n", type=int, default=MOST, help="votes for an image, at most")
    given = parser.parse_args(arguments)
    for model in given.models:
        with server(model) as (process, url):
            for sigma in given.sigma:
                for row in given.rows:
                    before, told = (row, {}) if row != TUNED else tuned(url, model, sigma)
                    found = certified(url, model, sigma, before, images=given.images, most=given.n)
                    keep(f"mobilenet-{model} {sigma:g}", row, found | told | {"server_mib": _peak(process)}, RESULT)


def tuned(url: str, model: str, sigma: float) -> tuple[str, dict[str, Any]]:
    """What `bbsmooth tune` leaves before the oracle, the start where it was kept (best step 0), and what that took."""
    out = FOLDER / f"{model}-{sigma:g}-{TUNED}"
    summary, _ = _run("tune", url, model, sigma, out, "--start", START, "--budget", str(BUDGET))
    told = {name: summary[name] for name in ("method", "queries", "best_step", "seconds")}
    return (str(out) if summary["best_step"] else START), {"tuning": {"start": START} | told}


def certified(url: str, model: str, sigma: float, before: str, *, images: int, most: int) -> dict[str, Any]:
    """Figures of one run of `bbsmooth certify`, begun or gone on with, behind a denoiser or a tuned run."""
    options = ["--method", "sequential", "--radius", "0", "--radius", str(sigma), "--canaries", "0"]
    options += ["--n0", str(SELECTION), "--n", str(most), "--limit", str(images), "--concurrency", "2"]
    options += ["--coordinator", before] if before != "bare" else []
    out = FOLDER / f"{model}-{sigma:g}-{TUNED if '/' in before else before}-{images}-{most}"
    summary, ledger = _run("certify", url, model, sigma, out, *options)
    return {
        "images": summary["images"],
        "n": most,
        "certified": [
            {"radius": one["radius"], "value": one["value"], "low": one["low"], "high": one["high"]}
            for one in summary["certified_accuracy"]
        ],
        "abstained": summary["abstained"],
        "queries": summary["queries"],
        "seconds": round(summary["seconds"], 1),
        "wire": {key: value for key, value in ledger.items() if "bytes" in key},
        "client_mib": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024),
    }


def _run(verb: str, url: str, model: str, sigma: float, out: Path, *options: str) -> tuple[dict[str, Any], ...]:
    """The summary and the ledger of a command, begun or gone on with."""
    command = [sys.executable, "-m", "bbsmooth", verb, "--oracle", url, "--data", f"npz:{prepared(model)}"]
    command += ["--sigma", str(sigma), *options, "--progress", "none", "--out", str(out)]
    command += ["--resume"] if (out / "manifest.json").exists() else []
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return tuple(json.loads((out / f"{name}.json").read_text()) for name in ("summary", "ledger"))


def prepared(model: str) -> Path:
    """The pictures at the model's size, labelled by the number of their output: every fifth judges; written once."""
    path = FOLDER / f"pictures-{model}.npz"
    if not path.exists():
        shape = (3, SIDES[model], SIDES[model])
        dataset = data.load(f"folder:{shared() / 'data' / 'imagenet-sample'}", image_shape=shape, resize=True)
        numbers = np.array([int(Path(name).name[:4]) + 1 for name in dataset.classes or ()])
        arrays: dict[str, Any] = {"classes": np.array([str(number) for number in range(OUTPUTS)])}
        judging = range(0, len(dataset), _EVERY)
        for split, chosen in ("test", judging), ("train", sorted({*range(len(dataset))} - {*judging})):
            arrays[f"x_{split}"] = dataset.images(chosen).permute(0, 2, 3, 1).numpy()
            arrays[f"y_{split}"] = numbers[dataset.labels(chosen).numpy()]
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **arrays)
    return path


@contextmanager
def server(model: str) -> Iterator[tuple[int, str]]:
    """A LitServe server as processes of their own: the number of the first, and the name of its oracle."""
    port = _port()
    command = [sys.executable, "-m", "experiments.natural.served_model", model, str(port)]
    with running(command) as process:
        _wait(process, f"http://127.0.0.1:{port}/health")
        options = f"content=base64&feedback=probabilities&num_classes={OUTPUTS}"
        yield process.pid, f"litserve+http://127.0.0.1:{port}/predict?{options}"


def _port() -> int:
    """The same every time: an oracle's name tells it, and a run goes on with the oracle that it was begun with."""
    kept = FOLDER / "port"
    if not kept.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            kept.write_text(str(probe.getsockname()[1]))
    return int(kept.read_text())


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    while process.poll() is None:
        try:
            if httpx.get(url, timeout=10).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    sys.exit(f"the server ended with status {process.returncode}")


def _peak(leader: int) -> int:
    """MiB that the processes of the server's group had at their peaks, together."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if os.getpgid(int(status.parent.name)) == leader:
                lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
                total += int(lines["VmHWM"].split()[0])
        except (ProcessLookupError, FileNotFoundError, KeyError):
            continue  # it ended meanwhile, or is a thread of the kernel
    return round(total * 1024 / _MIB)


if __name__ == "__main__":
    main()
