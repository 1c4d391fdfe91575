"""Time of a training step of `bbsmooth train`, relative to a bare PyTorch loop of the same method.

`python -m experiments.training_steps.run` measures `local-vit` on `mnist5k` digits under Gaussian noise; with `--model
cifar-vit` the vision transformer of `experiments/cifar_vit`, with random weights and pixels, by every method. The bare
loop has the same module, batches, noise, loss, optimiser and schedule, and nothing else: what such a loop does in a
notebook. The two alternate within one process, A B A B ..., and the median of the ratios of the pairs is the figure; of
processor time where a processor computes. Then the same for bfloat16 and for torch.compile against our own step in
float32, where they run.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from experiments.cifar_vit.train import ARCHITECTURE, MODEL_ARGS
from experiments.gpu.timing import settle
from oracles.zoo import owned_model

COMPARED = ("lora", "full", "prompt-deep", "adapter")
EVERY = ("lora", "full", "prompt", "prompt-deep", "adapter", "bias", "head")
"""All methods whose step is a bare loop's: autolora and denoiser have losses of their own."""

BATCH = 128
SIGMA = 0.5
SEED = 0
PROCESSOR = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Work:
    """What is trained, and where its figures are kept.

    Attributes:
        model: name of the classifier.
        images: makes so many training images.
        result: file of the figures.
        methods: that are measured.
    """

    model: str
    images: Callable[[int], TrainingImages]
    result: Path
    methods: tuple[str, ...]


def digits(count: int) -> TrainingImages:
    """The first training digits."""
    data = load("mnist5k", split="train")
    return TrainingImages(data.images(range(count)), data.labels(range(count)))


def pixels(count: int, side: int = 32) -> TrainingImages:
    """Colour images of random pixels; a step takes as long as with any others."""
    generator = torch.Generator().manual_seed(SEED)
    images = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=generator)
    return TrainingImages(images, torch.randint(0, 10, (count,), generator=generator))


LOCAL_VIT = Work("local-vit", digits, Path(__file__).with_name("result.json"), COMPARED)
CIFAR_VIT = Work(
    f"timm:{ARCHITECTURE}?weights=random&num_classes=10&image_size=32&model_args={json.dumps(MODEL_ARGS)}",
    pixels,
    Path(__file__).with_name("cifar_vit.json"),
    EVERY,
)
WORKS = {"local-vit": LOCAL_VIT, "cifar-vit": CIFAR_VIT}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write `result.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="fewer steps and pairs; the file stays as it is")
    parser.add_argument("--model", choices=WORKS, default="local-vit")
    parser.add_argument("--methods", nargs="+", choices=EVERY)
    parser.add_argument("--steps", type=int, default=31, help="in a run")
    parser.add_argument("--pairs", type=int, default=9)
    given = parser.parse_args(arguments)
    steps, pairs = (4, 3) if given.small else (given.steps, given.pairs)
    work = WORKS[given.model]
    others = work is LOCAL_VIT
    result = {
        "steps_per_run": steps,
        "batch_size": BATCH,
        "by_method": {
            method: compared(method, steps=steps, pairs=pairs, others=others, work=work)
            for method in given.methods or work.methods
        },
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    print(json.dumps(result, indent=2))
    if not given.small:
        work.result.write_text(json.dumps(result, indent=2) + "\n")


def compared(
    method: str,
    *,
    steps: int,
    pairs: int,
    device: torch.device = PROCESSOR,
    others: bool = True,
    work: Work = LOCAL_VIT,
) -> dict[str, Any]:
    """All figures of one method on a device; without `others` only those against the bare loop."""
    images = work.images(steps * BATCH)
    plain = our_run(method, images, device, model=work.model)
    bare = bare_run(method, images, device, model=work.model)
    found = {"ours_to_bare": _ratios(plain, bare, steps, pairs)}
    variants = {"bfloat16_to_float32": {"bfloat16": True}, "compiled_to_eager": {"compiled": True}}
    for name, other in variants.items() if others else ():
        try:
            found[name] = _ratios(our_run(method, images, device, model=work.model, **other), plain, steps, pairs)
        except Exception as error:  # whatever a compiler or a kernel does on this machine
            found[name] = {"does_not_run": str(error).splitlines()[0]}
    return found


def our_run(
    method: str,
    images: TrainingImages,
    device: torch.device = PROCESSOR,
    *,
    bfloat16: bool = False,
    compiled: bool = False,
    model: str = LOCAL_VIT.model,
) -> Callable[[], float]:
    """An epoch by `bbsmooth.whitebox.fitting.fit`, as `bbsmooth train` calls it: time of each call."""
    classifier, module = adapted(method, device, model)
    forward: Callable[[Tensor], Tensor] = torch.compile(module) if compiled else module
    plan = FitPlan(epochs=1, batch_size=BATCH, learning_rate=METHODS[method].learning_rate, bfloat16=bfloat16)

    def run() -> float:
        began = _now(device)
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
        return _now(device) - began

    return run


def bare_run(
    method: str, images: TrainingImages, device: torch.device = PROCESSOR, *, model: str = LOCAL_VIT.model
) -> Callable[[], float]:
    """The same epoch, written out."""
    classifier, module = adapted(method, device, model)
    trained = [weight for weight in module.parameters() if weight.requires_grad]
    mean, std = (
        torch.tensor(one, device=device).view(-1, 1, 1)
        for one in (classifier.normalisation.mean, classifier.normalisation.std)
    )
    rate, steps = METHODS[method].learning_rate, images.steps(BATCH)

    def run() -> float:
        began = _now(device)
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
        return _now(device) - began

    return run


def adapted(
    method: str, device: torch.device = PROCESSOR, model: str = LOCAL_VIT.model
) -> tuple[Classifier, nn.Module]:
    """A classifier with what the method trains in place, on a device."""
    classifier = Classifier.of(owned_model(model), None, seed=SEED)
    chosen = adaptation(method, {})
    module = chosen.adapt(classifier.module, head=classifier.head, example=classifier.example, seed=SEED)
    return classifier, module.train(chosen.moves_statistics).to(device)


def _now(device: torch.device) -> float:
    """Processor time where a processor computes, so that nobody else on the machine counts; else wall time."""
    return time.process_time() if device.type == "cpu" else time.perf_counter()


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
