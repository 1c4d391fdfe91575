"""Noise on a device: equal to the processor's bit for bit, and how long it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor

from bbsmooth.noise import DISTRIBUTIONS, Grid, NoiseDistribution
from bbsmooth.noise.on_device import DrawRequest, noisy_on
from bbsmooth.noise.philox import philox
from bbsmooth.randomness import Stream, fork, name_digest
from experiments.gpu.timing import seconds

SIGMAS = (0.12, 0.5)
SHAPES = ((1, 28, 28), (3, 32, 32), (3, 224, 224))
SPANS = ((0, 40), (7, 3), (1_000, 21))
"""First draw and number of draws of each image: within places, across them, and far into a stream."""

BATCH = 256


def measured(device: torch.device, rehearse: bool) -> dict[str, Any]:
    """Return which noise is equal, and nanoseconds a value for whole batches."""
    shapes = SHAPES[:2] if rehearse else SHAPES
    kinds = [
        (kind(sigma), eight_bit, shape)
        for kind, sigma, eight_bit, shape in product(DISTRIBUTIONS.values(), SIGMAS, (True, False), shapes)
    ]
    equal = {_named(*one): _equal(device, *one) for one in kinds}
    timed = [one for one in kinds if one[0].name == "gaussian"]
    batch, times = (4, 1) if rehearse else (BATCH, 10)
    nanoseconds = {_named(*one): round(1e9 * _time(device, *one, batch, times), 4) for one in timed}
    return {
        "all_equal": all(equal.values()),
        "equal": equal,
        "batch": batch,
        "nanoseconds_a_value": nanoseconds,
        "philox": _philox(device, 1 << (12 if rehearse else 22), times, compiled=not rehearse),
    }


def _named(noise: NoiseDistribution, eight_bit: bool, shape: tuple[int, int, int]) -> str:
    return f"{noise.name}, sigma {noise.sigma:g}, {'8-bit' if eight_bit else 'float'}, {'x'.join(map(str, shape))}"


def _requests(shape: tuple[int, int, int], spans: tuple[tuple[int, int], ...]) -> list[DrawRequest]:
    images = torch.randint(0, 256, (len(spans), *shape), dtype=torch.uint8, generator=fork(1, "gpu", *shape))
    return [
        DrawRequest(image, Stream(name_digest(1, "gpu", number)), first, count)
        for number, (image, (first, count)) in enumerate(zip(images, spans, strict=True))
    ]


def _equal(device: torch.device, noise: NoiseDistribution, eight_bit: bool, shape: tuple[int, int, int]) -> bool:
    grid, asked = Grid.fitting(noise, eight_bit=eight_bit), _requests(shape, SPANS)
    here = [grid.noisy(one.image, noise, one.stream, first=one.first, count=one.count) for one in asked]
    return torch.equal(noisy_on(device, grid, noise, asked).cpu(), torch.cat(here))


def _time(
    device: torch.device,
    noise: NoiseDistribution,
    eight_bit: bool,
    shape: tuple[int, int, int],
    batch: int,
    times: int,
) -> float:
    """Seconds a value of a batch of one image."""
    grid, asked = Grid.fitting(noise, eight_bit=eight_bit), _requests(shape, ((0, batch),))
    taken = seconds(lambda: noisy_on(device, grid, noise, asked), device, times=times)
    return taken / (batch * asked[0].image.numel())


def _philox(device: torch.device, count: int, times: int, *, compiled: bool) -> dict[str, Any]:
    """Nanoseconds a word of the generator alone, as it is and as torch.compile makes it, where that runs."""
    block = torch.arange(count, device=device)
    zero = torch.zeros_like(block)
    counter, key = (block, zero, zero + 5, zero), (zero + 7, zero + 11)

    def taken(generator: Callable[..., Sequence[Tensor]]) -> float:
        return round(1e9 * seconds(lambda: generator(counter, key), device, times=times) / count / 4, 4)

    found: dict[str, Any] = {"nanoseconds_a_word": taken(philox)}
    if not compiled:
        return found
    try:
        fused = torch.compile(philox)
        same = all(map(torch.equal, fused(counter, key), philox(counter, key)))
        return found | {"compiled": {"nanoseconds_a_word": taken(fused), "equal": same}}
    except Exception as error:  # whatever a compiler does on this machine
        return found | {"compiled": {"does_not_run": (str(error).splitlines() or [""])[0]}}
