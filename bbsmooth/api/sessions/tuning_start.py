"""Starting points of tuning: a coordinator pre-trained as a denoiser, or the one of an earlier run."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bbsmooth.assemble import Front
from bbsmooth.coordinator import (
    Autoencoder,
    Bottleneck,
    Denoised,
    LatentCoordinator,
    OutputSpace,
    ScoreScaled,
    ScoreScaling,
    Stored,
    load,
    made_of,
    save,
)
from bbsmooth.coordinator.latent import train_bottleneck
from bbsmooth.coordinator.making import front_size_for
from bbsmooth.errors import UsageError
from bbsmooth.progress.meter import meter
from bbsmooth.runs.certificates import Record
from bbsmooth.runs.decoding import Damaged, read_record
from bbsmooth.runs.directory import read_manifest
from bbsmooth.runs.files import write_json
from bbsmooth.runs.layout import MANIFEST, PRETRAINED, PRETRAINING
from bbsmooth.runs.records.summaries import Pretraining
from bbsmooth.settings.common import SmoothingConfig
from bbsmooth.tuning.methods import METHODS, Method, behind_any
from oracles import Feedback, OracleSpec

FRONT_SIZE = "front_size"
"""Setting that says which network pre-training makes."""

_FINGERPRINT = "fingerprint"
_BATCH, _LATENT_RATE = 64, 1e-3
"""Images a step, and the learning rate of Adam, of an autoencoder's training."""


def begin(
    out: Path,
    start: Stored | None,
    pixels: Tensor,
    method: Method,
    smoothing: SmoothingConfig,
    *,
    epochs: int,
    device: torch.device,
    size: str | None,
) -> tuple[Stored, Tensor, Record]:
    """The coordinator that tuning starts from, its parameters, and what making it took. No query is spent.

    Raises:
        Damaged: the one that an earlier process has made is not as it was written.
    """
    cut = method.latent_channels is not None and not isinstance(start, LatentCoordinator)
    if start is not None and not cut:
        return start, start.initial_parameters(), {"epochs": 0, "seconds": 0.0}
    if (out / PRETRAINED).exists():
        return made_start(out / PRETRAINED, out / PRETRAINING, Pretraining)
    began, losses = time.monotonic(), [0.0]
    with meter("pre-train (no query)", epochs, "epochs") as bar:

        def progress(epoch: int, loss: float) -> None:
            losses.append(loss)
            bar.advance(1, f"mean squared error {loss:.4f}")

        coordinator: Stored = start or made_of(
            pixels,
            noise=smoothing.distribution,
            form=method.form,
            space=method.space,
            epochs=epochs,
            seed=smoothing.seed,
            device=device,
            size=size,
            progress=progress,
        )
    if cut and isinstance(coordinator, Autoencoder):
        coordinator = _with_bottleneck(coordinator, method, pixels, epochs=epochs, seed=smoothing.seed)
    took = {
        "epochs": len(losses) - 1,
        "mean_squared_error": losses[-1],
        "seconds": round(time.monotonic() - began, 3),
    }
    kept_start(out / PRETRAINED, out / PRETRAINING, coordinator, took)
    return coordinator, coordinator.initial_parameters(), took


def begun_before_sizes(out: Path) -> bool:
    """True for a run of a version that made one network for images of any size: it goes on with that one."""
    return (out / MANIFEST).exists() and FRONT_SIZE not in read_manifest(out)["settings"]


def refuse_unfit_size(size: str | None, method: Method, image_shape: tuple[int, int, int], sigma: float) -> None:
    """Refuse a denoiser that could not be made, before anything is.

    Raises:
        UsageError: images, noise or method that it does not fit.
    """
    try:
        front_size_for(image_shape, sigma, method.form, size)
    except ValueError as error:
        raise UsageError(f"no denoiser can be made to start from: {error}") from None


def _with_bottleneck(
    denoiser: Autoencoder, method: Method, pixels: Tensor, *, epochs: int, seed: int
) -> LatentCoordinator:
    """The denoiser before an autoencoder that has learnt the clean images; as Zhang et al. make theirs."""
    bottleneck = Bottleneck(image_shape=denoiser.image_shape, channels=method.latent_channels or 0)

    def images(generator: torch.Generator) -> Tensor:
        return pixels[torch.randint(len(pixels), (_BATCH,), generator=generator)].float() / 255

    steps = epochs * -(-len(pixels) // _BATCH)
    weights = train_bottleneck(bottleneck, images, steps=steps, learning_rate=_LATENT_RATE, seed=seed)
    return LatentCoordinator(denoiser=denoiser, bottleneck=bottleneck, weights=weights)


def kept_start(file: Path, record: Path, coordinator: Stored, took: Record) -> None:
    """Write a coordinator that was made, and before it what making it took."""
    write_json(record, took | {_FINGERPRINT: coordinator.fingerprint})
    save(file, coordinator, coordinator.initial_parameters())


def made_start(file: Path, record: Path, kind: Any) -> tuple[Stored, Tensor, Record]:
    """The coordinator that an earlier process has made, and what that took.

    Args:
        file: of the coordinator, as `kept_start` left it.
        record: of what it took.
        kind: of that record.

    Raises:
        Damaged: they are not as they were written.
    """
    took = dict(read_record(record, kind))
    try:
        coordinator, parameters = load(file)
    except ValueError as error:
        raise Damaged(f"{error}; restore it from a copy, or remove it to make it again") from error
    whole = took.pop(_FINGERPRINT, coordinator.fingerprint) == coordinator.fingerprint
    if not whole or not torch.equal(parameters, coordinator.initial_parameters()):
        raise Damaged(f"{file} is not as it was written; restore it from a copy, or remove it to make it again")
    return coordinator, parameters, took


def start_from(front: Front, method: Method, pixels: Tensor, smoothing: SmoothingConfig) -> Stored | None:
    """The coordinator to start from, its parameters taken into the weights: the method's own start there at zero.

    None where there is none, so that pre-training makes it.

    Args:
        front: what was named as a start.
        method: that tunes.
        pixels: (N, C, H, W) uint8, that it tunes on.
        smoothing: the noise.

    Raises:
        UsageError: it is not of the form that the method tunes, or for other images.
    """
    if (parts := front.parts) is None:
        return None
    coordinator, parameters = parts
    if isinstance(coordinator, ScoreScaled):
        if method.scaling is None:
            raise UsageError(
                "`start` scales the oracle's scores, which `method` would drop; tune its images first, from the run "
                "that it started from, or use `method` matrix-scaling or vector-scaling"
            )
        parameters = coordinator.shown_with
        coordinator = coordinator.front
    channels, height, width = pixels.shape[1:]
    if coordinator.image_shape not in (None, (channels, height, width)):
        raise UsageError(
            f"`start` has a coordinator for images {coordinator.image_shape}, these are {(channels, height, width)}"
        )
    try:
        match coordinator:
            case Denoised():
                return _behind(coordinator, parameters, method, pixels, smoothing)
            case Autoencoder():
                return _around(coordinator, parameters, method)
            case LatentCoordinator() if method.latent_channels == coordinator.bottleneck.channels:
                return replace(coordinator, denoiser=_around(coordinator.denoiser, parameters, method))
            case LatentCoordinator():
                raise UsageError("`start` has an autoencoder behind its denoiser; tune it by `method` zo-ae-ds-cge")
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(f"`start`: {error}") from None
    raise UsageError(f"{front.path} is a diffusion model, in which nothing is tuned; leave `start` out")


def scores_scaled(front: Stored, method: Method, spec: OracleSpec) -> ScoreScaled:
    """The coordinator of a method that scales scores, with a front that shows what it does without parameters."""
    assert method.scaling is not None
    assert isinstance(front, Autoencoder | Denoised)
    scaling = ScoreScaling(method.scaling, len(spec.classes))
    return ScoreScaled(
        front=front,
        shown_with=front.initial_parameters(),
        scaling=scaling,
        names=spec.classes.names,
        joint=method.joint,
    )


def refuse_unfit_scores(method: Method, spec: OracleSpec) -> None:
    """Refuse to scale scores that an oracle does not give.

    Raises:
        UsageError: labels alone, an open set of classes, or too many or few of them.
    """
    if method.scaling is None:
        return
    what = f"`method` scales the scores of {spec.name}, but it answers"
    if spec.feedback is Feedback.LABELS:
        raise UsageError(f"{what} with labels alone; use `method` equaliser")
    if spec.classes.open_set:
        raise UsageError(
            f"{what} in an open set of classes: say which there are, as in ?num_classes=10 or ?classes=A,B of module: "
            "and labels of a server, or use `method` equaliser"
        )
    try:
        ScoreScaling(method.scaling, len(spec.classes))
    except ValueError as error:
        raise UsageError(f"`method`: {error}") from None


def _around(coordinator: Autoencoder, parameters: Tensor, method: Method) -> Autoencoder:
    """The same network, to be tuned by the method."""
    if coordinator.form != method.form:
        raise UsageError(
            "`start` has a coordinator of another form than `method` tunes; start from one of the same form"
        )
    weights = coordinator.space.weights(coordinator.architecture, coordinator.weights, parameters)
    started = replace(coordinator, space=method.space, weights=weights)
    started.space.weights(started.architecture, started.weights, started.initial_parameters())
    return started


def _behind(
    coordinator: Denoised, parameters: Tensor, method: Method, pixels: Tensor, smoothing: SmoothingConfig
) -> Denoised:
    """The same denoiser, what it shows to be tuned by the method."""
    if not behind_any(method):
        names = ", ".join(name for name, each in METHODS.items() if behind_any(each))
        raise UsageError(
            f"`method` tunes the weights of bbsmooth's own network, `start` is {coordinator.denoiser.name}; behind it "
            f"use one of {names}"
        )
    assert isinstance(method.space, OutputSpace)
    return coordinator.tuned_in(method.space, parameters, pixels, smoothing.distribution, smoothing.seed)
