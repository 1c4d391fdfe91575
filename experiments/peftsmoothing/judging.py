"""What the table says of a model besides its certificates: right answers, clean and noisy, of many test images."""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor

from bbsmooth import data
from bbsmooth.assemble import Front, load_images
from bbsmooth.assemble.labels import match_labels
from bbsmooth.noise import DISTRIBUTIONS, NoiseDistribution
from bbsmooth.randomness import fork
from bbsmooth.runs.directory import read_manifest
from bbsmooth.runs.files import write_json
from bbsmooth.settings.common import DataConfig
from bbsmooth.whitebox.noising import Noising
from experiments.peftsmoothing.study import Job
from oracles import Oracle
from oracles.registry import open_oracle

JUDGED = "judged.json"
_BATCH = 256


def judge(job: Job, images: int, draws: int) -> None:
    """Write `judged.json` into the job's directory.

    Args:
        job: whose commands are done.
        images: how many of the test split, from the first.
        draws: of noise for each; the same for every model, so that differences are between models.
    """
    settings = read_manifest(next(iter(job.folders.values())))["settings"]
    bare = open_oracle(job.oracle, {})
    oracle = Front(job.coordinator, job.sigma).before(bare)
    config = DataConfig(**{key: settings[key] for key in ("data", "resize", "data_root", "download")})
    dataset = load_images(config, data.Split.TEST, bare.spec.image_shape)
    chosen = range(min(images, len(dataset)))
    outputs = torch.tensor([int(name) for name in match_labels(dataset.classes or (), bare.spec.classes)])
    pixels, labels = dataset.images(chosen), outputs[dataset.labels(chosen)]
    noise = DISTRIBUTIONS[settings["noise"]](job.sigma)
    noisy = torch.stack([_right(oracle, pixels, labels, noise, draw) for draw in range(draws)]).mean(0)
    clean = _right(oracle, pixels, labels, None, 0)
    write_json(
        job.place / JUDGED,
        {"images": len(chosen), "clean": clean.mean().item(), "noisy": noisy.mean().item(), "by_image": noisy.tolist()},
    )


def judged(job: Job) -> dict[str, Any]:
    """What `judge` wrote: `images`, `clean` and `noisy` accuracy, and the latter image by image."""
    found: dict[str, Any] = json.loads((job.place / JUDGED).read_text())
    return found


def _right(oracle: Oracle, pixels: Tensor, labels: Tensor, noise: NoiseDistribution | None, draw: int) -> Tensor:
    """(N,) 1 where the answer is right, else 0."""
    noising = None if noise is None else Noising(noise, fork(draw, "studies", "judge"))
    answers = []
    for part in torch.split(pixels, _BATCH):
        values = part.float() / 255
        answers.append(oracle.query(values if noising is None else values + noising.like(values)).labels)
    return (torch.cat(answers) == labels).float()
