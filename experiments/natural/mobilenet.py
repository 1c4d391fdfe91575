"""A third party's ImageNet classifier at 224 x 224 pixels behind the shipped denoisers.

`python -m experiments.natural.mobilenet` judges them before MobileNetV2 (8-bit, LiteRT) on pictures that none has
seen, and adds to `results.json`. Needs the package ai-edge-litert. As an oracle of the command line it is
`module:experiments/natural/mobilenet.py:answer`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bbsmooth import data
from bbsmooth.coordinator import Autoencoder, CoordinatedOracle, FineTuningPlan, fine_tune
from bbsmooth.coordinator.natural import natural
from bbsmooth.noise import Gaussian
from experiments.natural.results import keep
from experiments.tuning.paired import correct, gain
from experiments.tuning.resnet20 import shared
from experiments.tuning.worlds import Labelled
from oracles import Classes, Feedback, Oracle
from oracles.python_module import FunctionOracle

IMAGE_SHAPE = (3, 224, 224)
SIGMAS = (0.05, 0.1, 0.25)
DRAWS = 4
_OUTPUTS = 1_001
_EVERY = 5
"""Every fifth picture judges, the others may be learnt from; as in `experiments.natural.train`."""


@cache
def _interpreter() -> Any:
    from ai_edge_litert.interpreter import Interpreter

    model = Interpreter(str(shared() / "models" / "mobilenet_v2_1.0_224_quant.tflite"), num_threads=1)
    model.allocate_tensors()
    return model


def answer(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores (N, 1001) for images (N, 3, 224, 224) in [0, 1]; output 0 is the background."""
    model = _interpreter()
    (given,), (taken,) = model.get_input_details(), model.get_output_details()
    pixels = np.rint(255 * images).astype(np.uint8).transpose(0, 2, 3, 1)
    scores = np.empty((len(pixels), _OUTPUTS), np.float32)
    for number, picture in enumerate(pixels):
        model.set_tensor(given["index"], picture[None])
        model.invoke()
        scores[number] = model.get_tensor(taken["index"])[0] / np.float32(256)
    return scores


def oracle() -> FunctionOracle:
    """The classifier, to be queried."""
    return FunctionOracle(
        answer,
        name="mobilenet-v2",
        fingerprint="mobilenet_v2_1.0_224_quant",
        classes=Classes.numbered(_OUTPUTS),
        feedback=Feedback.PROBABILITIES,
        image_shape=IMAGE_SHAPE,
    )


def pictures() -> tuple[Labelled, Labelled]:
    """Pictures to learn from, and those that judge, with the number of their output as label."""
    folder = shared() / "data" / "imagenet-sample"
    dataset = data.load(f"folder:{folder}", image_shape=IMAGE_SHAPE, resize=True)
    numbers = torch.tensor([int(Path(name).name[:4]) + 1 for name in dataset.classes or ()])
    everything = range(len(dataset))
    images, labels = dataset.images(everything), numbers[dataset.labels(everything)]
    judging = torch.arange(len(labels)) % _EVERY == 0
    return Labelled(images[~judging], labels[~judging]), Labelled(images[judging], labels[judging])


def _fine_tuned(sigma: float, learning: Labelled) -> Autoencoder:
    """The base denoiser, fine-tuned on the pictures that may be learnt from."""
    plan = FineTuningPlan(epochs=10, batch_size=16)
    return fine_tune(natural(IMAGE_SHAPE, sigma), learning.images, noise=Gaussian(sigma), plan=plan, seed=0)


def main() -> None:
    """Judge, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sigma", nargs="+", type=float, default=SIGMAS)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    learning, judging = pictures()
    clean = float((oracle().query(judging.images).labels == judging.labels).double().mean())
    for sigma in options.sigma:
        bare = correct(oracle(), judging, sigma=sigma, draws=DRAWS)
        for name in options.rows:
            start = time.process_time()
            coordinator = ROWS[name](sigma, learning)
            making = time.process_time() - start
            asked: Oracle = oracle()
            if coordinator is not None:
                asked = CoordinatedOracle(coordinator, coordinator.initial_parameters(), asked)
            right = correct(asked, judging, sigma=sigma, draws=DRAWS)
            over = gain(right, bare)
            row = {
                "images": len(judging.labels),
                "draws": DRAWS,
                "clean": round(100 * clean, 1),
                "noisy": round(100 * float(right.double().mean()), 2),
                "gain_over_bare": [round(over.points, 2), round(over.error, 2)],
                "seconds_to_make": round(making, 1),
            }
            keep(f"mobilenet {sigma:g}", name, row)


ROWS: dict[str, Callable[[float, Labelled], Autoencoder | None]] = {
    "bare": lambda sigma, learning: None,
    "natural-small": lambda sigma, learning: natural(IMAGE_SHAPE, sigma, size="small"),
    "natural": lambda sigma, learning: natural(IMAGE_SHAPE, sigma),
    "natural-fine-tuned": _fine_tuned,
}
"""What stands before the oracle, by name."""


if __name__ == "__main__":
    main()
