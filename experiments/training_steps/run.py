"""Time of a training step of `bbsmooth train`, relative to a bare PyTorch loop of the same method.

`python -m experiments.training_steps.run` measures `local-vit` on `mnist5k` digits under Gaussian noise. The bare loop
has the same module, batches, noise, loss, optimiser and schedule, and nothing else: what such a loop does in a
notebook. The two alternate within one process, A B A B ..., and the median of the ratios of the pairs is the figure.
Then the same for bfloat16 and for torch.compile against our own step in float32, where they run.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bbsmooth.data import load
from bbsmooth.noise import Gaussian
from bbsmooth.whitebox.classifier import Classifier
from bbsmooth.whitebox.fitting import FitPlan, fit
from bbsmooth.whitebox.images import TrainingImages
from bbsmooth.whitebox.methods import METHODS, adaptation
from bbsmooth.whitebox.objectives import Augmentation
from experiments.gpu.timing import settle
from oracles.zoo import owned_model

RESULT = Path(__file__).with_name("result.json")
COMPARED = ("lora", "full", "prompt-deep", "adapter")
BATCH = 128
SIGMA = 0.5
SEED = 0
PROCESSOR = torch.device("cpu")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write `result.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="fewer steps and pairs; the file stays as it is")
    parser.add_argument("--methods", nargs="+", default=list(COMPARED), choices=list(COMPARED))
    given = parser.parse_args(arguments)
    steps, pairs = (4, 3) if given.small else (31, 9)
    result = {
        "steps_per_run": steps,
        "batch_size": BATCH,
        "by_method": {method: compared(method, steps=steps, pairs=pairs) for method in given.methods},
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    print(json.dumps(result, indent=2))
    if not given.small:
        RESULT.write_text(json.dumps(result, indent=2) + "\n")


def compared(
    method: str, *, steps: int, pairs: int, device: torch.device = PROCESSOR, others: bool = True
) -> dict[str, Any]:
    """All figures of one method on a device; without `others` only those against the bare loop."""
    images = digits(steps * BATCH)
    plain = our_run(method, images, device)
    found = {"ours_to_bare": _ratios(plain, bare_run(method, images, device), steps, pairs)}
    variants = {"bfloat16_to_float32": {"bfloat16": True}, "compiled_to_eager": {"compiled": True}}
    for name, other in variants.items() if others else ():
        try:
            found[name] = _ratios(our_run(method, images, device, **other), plain, steps, pairs)
        except Exception as error:  # whatever a compiler or a kernel does on this machine
            found[name] = {"does_not_run": str(error).splitlines()[0]}
    return found


def digits(count: int) -> TrainingImages:
    """The first training digits."""
    data = load("mnist5k", split="train")
    return TrainingImages(data.images(range(count)), data.labels(range(count)))


def our_run(
    method: str,
    images: TrainingImages,
    device: torch.device = PROCESSOR,
    *,
    bfloat16: bool = False,
    compiled: bool = False,
) -> Callable[[], float]:
    """An epoch by `bbsmooth.whitebox.fitting.fit`, as `bbsmooth train` calls it: wall time of each call."""
    classifier, module = adapted(method, device)
    forward: Callable[[Tensor], Tensor] = torch.compile(module) if compiled else module
    plan = FitPlan(epochs=1, batch_size=BATCH, learning_rate=METHODS[method].learning_rate, bfloat16=bfloat16)

    def run() -> float:
        began = time.perf_counter()
        fit(
            module,
            lambda shown: forward(classifier.normalised(shown)),
            images,
            noise=Gaussian(SIGMA),
            objective=Augmentation(),
            plan=plan,
            seed=SEED,
        )
        settle(device)
        return time.perf_counter() - began

    return run


def bare_run(method: str, images: TrainingImages, device: torch.device = PROCESSOR) -> Callable[[], float]:
    """The same epoch, written out."""
    classifier, module = adapted(method, device)
    trained = [weight for weight in module.parameters() if weight.requires_grad]
    mean, std = (
        torch.tensor(one, device=device).view(-1, 1, 1)
        for one in (classifier.normalisation.mean, classifier.normalisation.std)
    )
    rate, steps = METHODS[method].learning_rate, images.steps(BATCH)

    def run() -> float:
        began = time.perf_counter()
        optimiser = torch.optim.AdamW(trained, lr=rate, weight_decay=1e-4)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.1)
        for chosen in torch.split(torch.randperm(len(images.pixels)), BATCH):
            clean = images.pixels[chosen].to(device).float() / 255
            noisy = clean + SIGMA * torch.randn_like(clean)
            loss = F.cross_entropy(module((noisy - mean) / std), images.labels[chosen].to(device))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        settle(device)
        return time.perf_counter() - began

    return run


def adapted(method: str, device: torch.device = PROCESSOR) -> tuple[Classifier, nn.Module]:
    """`local-vit` with what the method trains in place, on a device."""
    classifier = Classifier.of(owned_model("local-vit"), None, seed=SEED)
    chosen = adaptation(method, {})
    module = chosen.adapt(classifier.module, head=classifier.head, example=classifier.example, seed=SEED)
    return classifier, module.train(chosen.moves_statistics).to(device)


def _ratios(first: Callable[[], float], second: Callable[[], float], steps: int, pairs: int) -> dict[str, Any]:
    for warm_up in (first, second):
        warm_up()
    seconds = [(first(), second()) for _ in range(pairs)]
    ratios = [one / other for one, other in seconds]
    return {
        "milliseconds_per_step": [round(1000 * min(side) / steps, 2) for side in zip(*seconds, strict=True)],
        "ratio_of_each_pair": [round(ratio, 3) for ratio in ratios],
        "ratio_median": round(statistics.median(ratios), 3),
    }


if __name__ == "__main__":
    main()
