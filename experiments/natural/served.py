"""ImageNet size through somebody else's server: MobileNets behind LitServe, bare and behind the shipped denoisers.

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
ROWS = {"bare": (), "natural": ("--coordinator", "natural"), "natural-small": ("--coordinator", "natural-small")}
IMAGES, SELECTION, MOST = 100, 20, 300
_EVERY = 5
"""Every fifth picture judges: the others trained the denoisers."""

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
        pictures = prepared(model)
        with server(model) as (process, url):
            for sigma in given.sigma:
                for row in given.rows:
                    found = certified(url, pictures, model, sigma, row, images=given.images, most=given.n)
                    keep(f"mobilenet-{model} {sigma:g}", row, found | {"server_mib": _peak(process)}, RESULT)


def certified(
    url: str, pictures: Path, model: str, sigma: float, row: str, *, images: int, most: int
) -> dict[str, Any]:
    """Figures of one run of `bbsmooth certify`, begun or gone on with."""
    out = FOLDER / f"{model}-{sigma:g}-{row}-{images}-{most}"
    command = [sys.executable, "-m", "bbsmooth", "certify", "--oracle", url, "--data", f"npz:{pictures}"]
    command += ["--sigma", str(sigma), "--method", "sequential", "--radius", "0", "--radius", str(sigma)]
    command += ["--n0", str(SELECTION), "--n", str(most), "--limit", str(images), *ROWS[row], "--out", str(out)]
    command += ["--concurrency", "2", "--canaries", "0", "--progress", "none"]
    command += ["--resume"] if (out / "manifest.json").exists() else []
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    summary, ledger = (json.loads((out / f"{name}.json").read_text()) for name in ("summary", "ledger"))
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


def prepared(model: str) -> Path:
    """The pictures that judge, at the model's size, labelled by the number of their output; written once."""
    path = FOLDER / f"pictures-{model}.npz"
    if not path.exists():
        shape = (3, SIDES[model], SIDES[model])
        dataset = data.load(f"folder:{shared() / 'data' / 'imagenet-sample'}", image_shape=shape, resize=True)
        chosen = range(0, len(dataset), _EVERY)
        numbers = np.array([int(Path(name).name[:4]) + 1 for name in dataset.classes or ()])
        names = np.array([str(number) for number in range(OUTPUTS)])
        pixels = dataset.images(chosen).permute(0, 2, 3, 1).numpy()
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, x=pixels, y=numbers[dataset.labels(chosen).numpy()], classes=names)
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
