"""Do natural and noisy images pull a feature extractor the same way? `python -m experiments.gradient_similarity.run`.

The diagnosis behind AutoLoRa (Xu, Zhang, Kankanhalli, ICLR 2024): `local-vit` is fine-tuned by the same loss twice,
once with natural images through the extractor like perturbed ones, once with natural images through a low-rank branch.
After every epoch the cosine between the gradients of the two objectives, with respect to the extractor's weights, is
taken on held-out batches. Writes `result.json` and `result.png` beside this file.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import torch
import torch.nn.functional as F
from matplotlib import pyplot as plt
from torch import Tensor

from bbsmooth.data import load
from bbsmooth.noise import Gaussian
from bbsmooth.randomness import fork
from bbsmooth.whitebox.accuracy import accuracy
from bbsmooth.whitebox.autolora import AutoLora, Branches
from bbsmooth.whitebox.classifier import Classifier
from bbsmooth.whitebox.fitting import Epoch, FitPlan, Optimiser, fit
from bbsmooth.whitebox.images import TrainingImages
from bbsmooth.whitebox.noising import Noising
from experiments.gradient_similarity.similarity import gradient_similarity
from oracles.zoo import owned_model

RESULT = Path(__file__).with_name("result.json")
FIGURE = Path(__file__).with_name("result.png")
WAYS = {"shared": "both through the extractor", "branch": "natural images through a low-rank branch"}
CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is done.

    Attributes:
        images: for training.
        judged: held out, for the gradients.
        epochs: of training.
        seeds: of everything random.
        sigma: of the noise.
        batch_size: images a step.
        learning_rate: peak.
    """

    images: int = 3400
    judged: int = 512
    epochs: int = 10
    seeds: tuple[int, ...] = (0, 1, 2)
    sigma: float = 0.5
    batch_size: int = 128
    learning_rate: float = 3e-4  # at 1e-3 training collapses in the second epoch


SMALL = Scale(images=512, judged=256, epochs=3, seeds=(0,))


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, measure, write and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a minute; prints, and leaves the files as they are")
    scale = SMALL if parser.parse_args(arguments).small else Scale()
    found = {way: [course(way, scale, seed) for seed in scale.seeds] for way in WAYS}
    result = {"scale": asdict(scale), "by_seed_and_epoch": found}
    print(json.dumps(result, indent=2))
    if scale is not SMALL:
        RESULT.write_text(json.dumps(result, indent=2) + "\n")
        draw(result, FIGURE)


def course(way: str, scale: Scale, seed: int) -> list[dict[str, float]]:
    """The mean cosine, and how well the extractor does, before training and after every epoch.

    Args:
        way: "branch" as AutoLoRa does, "shared" with the branch fixed at nothing.
        scale: how much.
        seed: of everything random.
    """
    torch.set_num_threads(1)
    classifier = Classifier.of(owned_model("local-vit"), None, seed=seed)
    branches = Branches.grow(classifier.module, classifier.head, seed=seed)
    for name, weight in branches.module.named_parameters():
        weight.requires_grad_(way == "branch" or "lora_" not in name)
    objective = AutoLora(
        branches=branches, normalised=classifier.normalised, apart=way == "branch", epochs=scale.epochs
    )
    digits = load("mnist5k", split="train")
    pixels, labels = (part(range(scale.images + scale.judged)) for part in (digits.images, digits.labels))
    judged = TrainingImages(pixels[: scale.judged], labels[: scale.judged])
    plan = FitPlan(epochs=scale.epochs, batch_size=scale.batch_size, learning_rate=scale.learning_rate)
    state = Optimiser.new(branches.module, plan)
    noise = Gaussian(scale.sigma)

    def look() -> dict[str, float]:
        return {
            "similarity": round(mean_similarity(objective, judged, scale, seed), 4),
            "clean_accuracy": accuracy(extracted, judged, noise=None, seed=seed, device=CPU),
            "noisy_accuracy": accuracy(extracted, judged, noise=noise, seed=seed, device=CPU),
        }

    def extracted(images: Tensor) -> Tensor:
        return branches.robust(objective.normalised(images))

    found = [look()]

    def after(epoch: Epoch, _: Optimiser) -> None:
        objective.look()
        found.append(look())

    fit(
        branches.module,
        branches.natural,
        TrainingImages(pixels[scale.judged :], labels[scale.judged :]),
        noise=noise,
        objective=objective,
        plan=plan,
        seed=seed,
        state=state,
        after=after,
    )
    return found


def mean_similarity(objective: AutoLora, judged: TrainingImages, scale: Scale, seed: int) -> float:
    """The cosine between the natural and the adversarial objective's gradient, averaged over the batches of `judged`.

    With respect to the extractor, which is everything but the branch and the classifying layers. The same images, noise
    and batches every time.
    """
    noising = Noising(Gaussian(scale.sigma), fork(seed, "similarity", "noise"))
    branches = objective.branches
    cosines = []
    for _, images, labels in judged.batches(scale.batch_size, fork(seed, "similarity", "order"), CPU):
        natural = branches.natural(objective.normalised(images))
        perturbed = objective.perturbed(images, natural.detach(), noising)
        robust = branches.robust(objective.normalised(perturbed))
        losses = (F.cross_entropy(natural, labels), F.cross_entropy(robust, labels))
        cosines.append(gradient_similarity(*losses, branches.extractor_weights))
    return statistics.mean(cosines)


def draw(result: Mapping[str, Any], path: Path) -> None:
    """Cosine by epoch, one line a way: the mean over seeds, and the range in a shade."""
    figure, axes = plt.subplots(figsize=(6, 3.8))
    for way, runs in result["by_seed_and_epoch"].items():
        by_epoch = list(zip(*([one["similarity"] for one in run] for run in runs), strict=True))
        epochs = range(len(by_epoch))
        axes.plot(epochs, [statistics.mean(one) for one in by_epoch], marker="o", markersize=3, label=WAYS[way])
        axes.fill_between(epochs, [min(one) for one in by_epoch], [max(one) for one in by_epoch], alpha=0.2)
    axes.axhline(0, color="grey", linewidth=1)
    axes.set(xlabel="epochs of fine-tuning", ylabel="cosine of the two gradients", title="Natural and noisy objective")
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=130, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
