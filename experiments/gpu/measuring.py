"""One stage of `experiments.gpu.run`: measures on a device, and writes its figures as JSON."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from bbsmooth.noise import on_device
from experiments.gpu import drawing, learning, voting
from oracles.local import pick_device

STAGES: dict[str, Callable[[torch.device, bool], dict[str, Any]]] = {
    "noise": drawing.measured,
    "votes": voting.measured,
    "pretraining": learning.pretraining,
    "training": learning.training,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=list(STAGES))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--rehearse", action="store_true")
    given = parser.parse_args(arguments)
    device, began = pick_device(given.device), time.perf_counter()
    if given.rehearse:
        on_device.BY_NUMPY = frozenset()  # the processor stands for a device that NumPy cannot draw on
    found = STAGES[given.stage](device, given.rehearse)
    machine = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "torch": torch.__version__,
        "rehearsal": given.rehearse,
        "seconds": round(time.perf_counter() - began, 1),
    }
    given.out.write_text(json.dumps(found | {"machine": machine}, indent=2) + "\n")


if __name__ == "__main__":
    main()
