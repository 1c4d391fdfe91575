"""Memory that training takes: `python -m experiments.training_steps.memory` writes `memory.json`.

Each arm is a process of its own that loads the libraries, the model and the images, forgets its peak, and trains two
steps by `bbsmooth.whitebox.fitting.fit`: how far the peak of resident memory lies above what was there before. For the
vision transformer of `experiments/cifar_vit` and for a ViT-B/16, both with random weights. Linux only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from bbsmooth.noise import Gaussian
from bbsmooth.whitebox.checkpointing import recompute_activations
from bbsmooth.whitebox.fitting import FitPlan, fit
from bbsmooth.whitebox.objectives import Augmentation
from experiments.training_steps.run import CIFAR_VIT, SEED, SIGMA, adapted, pixels

RESULT = Path(__file__).with_name("memory.json")
MODELS = {"cifar-vit": (CIFAR_VIT.model, 32, 128), "vit-b16": ("timm:vit_base_patch16_224?weights=random", 224, 4)}
"""Name of the classifier, side of its images, images a step."""

ARMS = (("full", False), ("full", True), ("lora", False), ("lora", True))
"""Methods, and whether activations are computed again."""

_MIB = 2**20
_STATUS = Path("/proc/self/status")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write `memory.json`; an arm prints its figure alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--arm", nargs=3, metavar=("MODEL", "METHOD", "AGAIN"), help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.arm:
        print(json.dumps(taken(given.arm[0], given.arm[1], again=given.arm[2] == "1")))
        return
    result = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for model in given.models:
        result[model] = _compared(model)
        RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def taken(model: str, method: str, *, again: bool) -> dict[str, float]:
    """MiB that two steps of training take at their peak, and that were resident before."""
    name, side, batch = MODELS[model]
    classifier, module = adapted(method, model=name)
    if again:
        recompute_activations(module)
    images = pixels(2 * batch, side)
    plan = FitPlan(epochs=1, batch_size=batch, learning_rate=1e-4)
    torch.set_num_threads(1)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew: proc_pid_clear_refs(5)
    before = _resident("VmRSS")
    fit(
        module,
        lambda shown: module(classifier.normalised(shown)),
        replace(images, labels=images.labels % len(classifier.classes)),
        noise=Gaussian(SIGMA),
        objective=Augmentation(),
        plan=plan,
        seed=SEED,
    )
    return {"training_mib": round(_resident("VmHWM") - before, 1), "before_mib": round(before, 1)}


def _compared(model: str) -> dict[str, Any]:
    found = {f"{method}{', recomputed' * again}": _asked(model, method, again) for method, again in ARMS}
    full, lora = found["full"]["training_mib"], found["lora"]["training_mib"]
    return {
        "batch_size": MODELS[model][2],
        "by_arm": found,
        "lora_to_full": round(lora / full, 3),
        "lora_recomputed_to_full": round(found["lora, recomputed"]["training_mib"] / full, 3),
    }


def _asked(model: str, method: str, again: bool) -> dict[str, float]:
    command = [sys.executable, "-m", __spec__.name, "--arm", model, method, str(int(again))]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def _resident(field: str) -> float:
    """MiB."""
    lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return int(lines[field].split()[0]) * 1024 / _MIB


if __name__ == "__main__":
    main()
