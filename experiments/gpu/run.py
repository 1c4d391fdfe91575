"""All that is measured on a GPU, in order of worth: `python -m experiments.gpu.run --budget-minutes 25`.

Each stage is a process of its own and leaves its figures in `OUT/STAGE.json`; one that fails or runs out of time does
not end the others, and `OUT/summary.json` says how each went. With `--rehearse` everything happens at toy size on the
processor, which stands for the GPU: noise is drawn by torch there too. This file needs nothing but Python, so that it
can unpack the wheels that `make gpu` packed for a machine without a network.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
WHEELS, UNPACKED = ROOT / "wheels", ROOT / ".unpacked"
CIFAR, DIFFUSION = ROOT / "data" / "cifar10", ROOT / "data" / "diffusion"
SHIPPED = ROOT / "experiments" / "cifar_vit" / "cifar_vit.safetensors"
EPOCHS = 60
"""Of the CIFAR-10 classifier, a fifth of its recipe, so that they fit the time."""

_LAST_LINES = 20


@dataclass(frozen=True, slots=True)
class Stage:
    """A process that measures something.

    Attributes:
        name: of the stage, and of its file.
        command: the process; it writes the file.
        minutes: that it may take, at most.
        lacking: what is not there that it needs, empty where all is.
    """

    name: str
    command: Sequence[str]
    minutes: float
    lacking: str = ""


def stages(
    out: Path,
    *,
    device: str,
    rehearse: bool,
    cifar: Path,
    diffusion: Path,
    epochs: int = EPOCHS,
    python: str = sys.executable,
) -> list[Stage]:
    """Return all stages, the most worth first.

    Args:
        out: folder of the figures.
        device: on which is measured.
        rehearse: at toy size.
        cifar: folder of CIFAR-10 as parquet files.
        diffusion: folder of a diffusers model of its images.
        epochs: of the training on it.
        python: runs them.
    """
    limits = {"noise": 3.0, "votes": 6.0, "pretraining": 4.0, "training": 4.0}
    measured = [
        Stage(
            name,
            [python, "-m", "experiments.gpu.measuring", name, "--out", str(out / f"{name}.json"), "--device", device]
            + ["--rehearse"] * rehearse,
            minutes,
        )
        for name, minutes in limits.items()
    ]
    trained = out / "cifar_vit.safetensors"
    recipe = [python, "-m", "experiments.cifar_vit.train", "--out", str(trained)]
    recipe += ["--data", f"hf:{cifar}", "--device", device, "--epochs", str(epochs)]
    study = [python, "-m", "experiments.gpu.studying"]
    options = ["--out", str(out), "--cifar", str(cifar), "--weights", str(trained), str(SHIPPED)]
    options += ["--diffusion", str(diffusion)] + ["--rehearse"] * rehearse
    no_images = "" if cifar.is_dir() else f"no CIFAR-10 in {cifar}"
    no_model = no_images or ("" if diffusion.is_dir() else f"no diffusion model in {diffusion}")
    return [
        *measured,
        Stage("cifar_vit", recipe, 10.0, no_images if not rehearse else "hours of a processor"),
        Stage("levels", [*study, "levels", *options], 8.0, "" if rehearse else no_images),
        Stage("diffusion", [*study, "diffusion", *options], 8.0, "" if rehearse else no_model),
    ]


def run_all(chosen: Sequence[Stage], out: Path, *, seconds: float, environment: Mapping[str, str]) -> dict[str, Any]:
    """Run stages one after the other, and return how each went: status, seconds, and why where it is not done.

    Args:
        chosen: the stages.
        out: folder of the figures and logs.
        seconds: for all of them together.
        environment: of their processes.
    """
    out.mkdir(parents=True, exist_ok=True)
    end, went = time.monotonic() + seconds, dict[str, Any]()
    for stage in chosen:
        print(f"{stage.name} ...", flush=True)
        left = end - time.monotonic()
        if stage.lacking or left <= 0:
            went[stage.name] = {"status": "skipped", "why": stage.lacking or "no time is left"}
        else:
            went[stage.name] = _run(stage, out, min(left, 60 * stage.minutes), environment)
        print(f"{stage.name}: {json.dumps(went[stage.name])}", flush=True)
        (out / "summary.json").write_text(json.dumps(went, indent=2) + "\n")
    return went


def _run(stage: Stage, out: Path, seconds: float, environment: Mapping[str, str]) -> dict[str, Any]:
    began, log = time.monotonic(), out / f"{stage.name}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            stage.command, stdout=file, stderr=subprocess.STDOUT, cwd=ROOT, env=environment, start_new_session=True
        )
        try:
            code: int | None = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # and what it started
                process.wait()
    took = {"seconds": round(time.monotonic() - began, 1)}
    if code == 0:
        return {"status": "done"} | took
    why = f"status {code}" if code is not None else f"more than {seconds:.0f} s"
    last = log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
    return {"status": "failed" if code is not None else "out of time", "why": why, "last_lines": last} | took


def unpacked(wheels: Path, folder: Path, python: str = sys.executable) -> list[str]:
    """Unpack the wheels of packages that this Python lacks; return their names. Those that it has stay as they are."""
    lacking = [wheel for wheel in sorted(wheels.glob("*.whl")) if not _is_there(wheel.name.split("-")[0])]
    if lacking:
        command = [python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(folder)]
        subprocess.run([*command, "--upgrade", *map(str, lacking)], check=True)
    return [wheel.name for wheel in lacking]


def _is_there(name: str) -> bool:
    try:
        importlib.metadata.version(re.sub(r"[-_.]+", "-", name))
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything; the exit status is 1 where a stage failed or ran out of its time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget-minutes", type=float, default=25.0, help="for all stages together")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results"))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--cifar", type=Path, default=CIFAR, help="folder of CIFAR-10 as parquet files")
    parser.add_argument("--diffusion", type=Path, default=DIFFUSION, help="folder of a diffusers model of its images")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of the training on CIFAR-10")
    parser.add_argument("--only", nargs="+", metavar="STAGE", help="run these stages alone")
    parser.add_argument("--rehearse", action="store_true", help="at toy size, on the processor")
    given = parser.parse_args(arguments)
    began = time.monotonic()
    print("unpacked:", ", ".join(unpacked(WHEELS, UNPACKED)) or "nothing", flush=True)
    device = "cpu" if given.rehearse else given.device
    chosen = stages(
        given.out.resolve(),
        device=device,
        rehearse=given.rehearse,
        cifar=given.cifar.resolve(),
        diffusion=given.diffusion.resolve(),
        epochs=given.epochs,
    )
    if given.only:
        if unknown := set(given.only) - {stage.name for stage in chosen}:
            parser.error(f"no stage {', '.join(sorted(unknown))}; there are {', '.join(one.name for one in chosen)}")
        chosen = [stage for stage in chosen if stage.name in given.only]
    path = os.pathsep.join(filter(None, [str(ROOT), str(UNPACKED), os.environ.get("PYTHONPATH")]))
    seconds = 60 * given.budget_minutes - (time.monotonic() - began)
    went = run_all(chosen, given.out.resolve(), seconds=seconds, environment=os.environ | {"PYTHONPATH": path})
    return int(any(one["status"] in ("failed", "out of time") for one in went.values()))


if __name__ == "__main__":
    raise SystemExit(main())
