"""Training on a device: coordinators, and the white-box methods."""

from __future__ import annotations

import time
from typing import Any

import torch

from bbsmooth.coordinator import CleanedImage, EqualiserSpace, PretrainPlan, pretrain
from bbsmooth.data import load
from bbsmooth.noise import Gaussian
from bbsmooth.randomness import fork
from experiments.gpu.timing import settle
from experiments.training_steps.run import compared

SIGMA = 0.25
METHODS = ("lora", "full")


def pretraining(device: torch.device, rehearse: bool) -> dict[str, Any]:
    """Return seconds and squared errors of pre-training: on digits here and on the processor, on large images here."""
    processor = torch.device("cpu")
    digits = load("mnist5k", split="train").images(range(100 if rehearse else 3_000))
    side, count = (32, 16) if rehearse else (224, 512)
    large = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=fork(1, "gpu", "pretraining"))
    epochs = 1 if rehearse else 10
    return {
        "epochs": epochs,
        "digits": _pretrained(digits, epochs, device),
        "digits_on_the_processor": _pretrained(digits, epochs, processor),
        f"{count} images of {side} x {side}": _pretrained(large, 1 if rehearse else 3, device),
    }


def _pretrained(images: torch.Tensor, epochs: int, device: torch.device) -> dict[str, Any]:
    errors: list[float] = []
    settle(device)
    began = time.perf_counter()
    pretrain(
        images,
        noise=Gaussian(SIGMA),
        form=CleanedImage(),
        space=EqualiserSpace(),
        plan=PretrainPlan(epochs=epochs),
        seed=0,
        device=device,
        progress=lambda epoch, error: errors.append(error),
    )
    taken = time.perf_counter() - began
    return {"images_a_second": round(epochs * len(images) / taken, 1), "mean_squared_errors": errors}


def training(device: torch.device, rehearse: bool) -> dict[str, Any]:
    """Return the time of a training step beside a bare loop's, in float32, bfloat16 and compiled."""
    steps, pairs = (1, 1) if rehearse else (31, 5)
    methods = METHODS[:1] if rehearse else METHODS
    others = not rehearse
    return {method: compared(method, steps=steps, pairs=pairs, device=device, others=others) for method in methods}
