"""Coordinators: pre-trained without a query, tuned within a budget."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

from bbsmooth.api.batch import Batch, batch_config
from bbsmooth.api.denoiser import Denoiser, Tuned
from bbsmooth.api.sessions import tune as session
from bbsmooth.api.subject import AnyFront, AnyOracle, Callback, drift_of, noises_of, subject_of, told
from bbsmooth.coordinator import EqualiserSpace, made_of
from bbsmooth.data import Split, images_of
from bbsmooth.errors import UsageError
from bbsmooth.noise import NoiseDistribution
from bbsmooth.progress.meter import meter
from bbsmooth.settings.batch import LOOKS
from bbsmooth.settings.sigma import SigmaConfig, SigmaPilotConfig, certification
from bbsmooth.settings.stamp import STAMPED, StampConfig
from bbsmooth.settings.tune import AUTOENCODED, EPOCHS, TuneConfig, idle_without_queries
from bbsmooth.tuning.automatic import AUTO
from bbsmooth.tuning.methods import METHODS
from oracles import Budget
from oracles.local import pick_device

MOST_IMAGES = 10_000
"""Images that tuning learns from, where nobody says otherwise."""


def pretrain(
    images: Any,
    *,
    noise: NoiseDistribution,
    seed: int,
    epochs: int = EPOCHS,
    device: str = "auto",
    size: str | None = None,
    callbacks: Sequence[Callback] = (),
) -> Denoiser:
    """A denoiser for images like these, made without a query.

    Args:
        images: (N, C, H, W) uint8 or floats that are k / 255, or a data set; labels are not looked at.
        noise: that it takes off.
        seed: of its weights and of the noise.
        device: on which to train: auto for the best that there is, cpu, cuda, cuda:N or mps.
        epochs: times that every image is seen; at most, where the natural denoiser is fine-tuned.
        size: "folded", a small network that is trained from nothing; "small" or "base", the natural denoiser,
            fine-tuned. None for "base" where images are grey or colour and 32 pixels a side or more, else "folded".
        callbacks: each told (task, done, facts) as it goes on.

    Raises:
        ShapeError: images that are no 8-bit images.
        SpecError: a device that is not there.
        ValueError: no epoch, or a size that is not there or does not fit.
    """
    place = pick_device(device)
    given, losses = images_of(images, split=Split.TRAIN), [0.0]
    with told(callbacks) if callbacks else nullcontext(), meter("pre-train (no query)", epochs, "epochs") as bar:

        def progress(epoch: int, loss: float) -> None:
            losses.append(loss)
            bar.advance(1, f"mean squared error {loss:.4f}")

        coordinator = made_of(
            given.images(range(len(given))),
            noise=noise,
            form=METHODS["equaliser"].form,
            space=EqualiserSpace(),
            epochs=epochs,
            seed=seed,
            device=place,
            size=size,
            progress=progress,
        )
    return Denoiser(coordinator, coordinator.initial_parameters(), losses[-1])


def tune(
    oracle: AnyOracle,
    images: Any,
    labels: Any = None,
    *,
    noise: NoiseDistribution | Sequence[NoiseDistribution],
    budget: Budget,
    seed: int | Literal["stamped"],
    run: Path | str,
    method: str = AUTO,
    objective: str | None = None,
    radius: float | None = None,
    pilot: int | None = None,
    pilot_draws: int | None = None,
    start: AnyFront | None = None,
    surrogate: str | None = None,
    epochs: int | None = None,
    size: str | None = None,
    shots: int | None = None,
    limit: int | None = None,
    classes: Sequence[str] | None = None,
    resume: bool = True,
    timestamp: str | None = None,
    canaries: int | None = None,
    canary_every: int = 5_000,
    steps: int | None = None,
    batch: bool | Batch = False,
    callbacks: Sequence[Callback] = (),
) -> Tuned:
    """A coordinator for an oracle, tuned by zeroth-order optimisation on its answers, in a complete run directory.

    Args:
        oracle: from `bbsmooth.oracle`, or what that takes.
        images: to learn from, (N, C, H, W) uint8 or floats that are k / 255, or a data set. Keep them apart from those
            that are certified.
        labels: (N,) numbers or names; not needed with `objective="agreement"`.
        noise: under which the oracle is asked; or several that differ in sigma, of which the one that certifies most at
            `radius` is chosen first, by a pilot from the same budget (`Tuned.sigma`).
        budget: what may be spent in all; 0 queries stop after pre-training.
        seed: of everything that is random; "stamped" derives it from the stamp of `timestamp`.
        run: the run directory, made where it is missing.
        method: a name that `bbsmooth tune --help` lists, or "auto", which picks by what was measured.
        objective: what is made small; None for what the method was measured best with.
        radius: at which the share of certified held-out images judges what is kept, and whether the rest of the budget
            is spent; None lets noisy accuracy judge.
        pilot: with several `noise` the images of the first round of the choice; None for 50.
        pilot_draws: of each under each noise; None for 20.
        start: where to start, in place of pre-training: what `pretrain` or `tune` returned, or a run's directory.
        surrogate: name of a classifier for such images whose weights are here, as `train` takes it, not the oracle.
            Before a query is asked the denoiser learns that this one says of its images what it says of the clean ones
            (denoised smoothing's stability: Salman et al., NeurIPS 2020). Its classes may be others.
        epochs: of pre-training, without a start; also of the autoencoder that zo-ae-ds puts behind one. None for 40.
        size: of the denoiser that pre-training makes, as in `pretrain`.
        shots: images of each class that are used, at random; None for all.
        limit: images that are used, from the first.
        classes: names of the labels, where these are numbers.
        resume: False refuses a directory that holds a run.
        timestamp: URL of an RFC 3161 authority that stamps `commitment.json`, what the run fixes before its first
            query; None for none.
        canaries: images that tell whether the model was changed; None for the usual number where it may be.
        canary_every: queries after which they are asked.
        steps: that are taken at most, fewer ones with more questions each; None for what the method usually takes.
        batch: whether the vendor's batch interface is asked, or how (`Batch`). Every step and every validation waits
            for its jobs, within hours each, so that more than 30 rounds must be asked for with `steps`.
        callbacks: each told (task, done, facts) as the run goes on.

    Raises:
        ShapeError: images that are no 8-bit images.
        UsageError: settings that cannot work, or a run of other settings in `run`; nothing was spent.
        BudgetExhausted: answers were lost in a crash, so that the budget ended first; the best so far is in place, and
            the same call with a larger budget ends what was planned.
        OracleError: see `oracles.errors`; all answers so far are on disk.
    """
    if start is not None and (size is not None or (epochs is not None and method not in AUTOENCODED)):
        raise UsageError("`epochs` and `size` are of pre-training, in whose place there is `start`: leave them out")
    jobs = batch_config(batch)
    if jobs.looks != LOOKS:
        raise UsageError("`looks` are of a certification; `steps` says in how many rounds to tune: leave `looks` out")
    if canaries and budget.queries == 0:
        raise idle_without_queries("canaries")
    folder, levels = Path(run), noises_of(noise)
    asked_pilot, sigmas = SigmaPilotConfig(pilot=pilot, pilot_draws=pilot_draws), None
    if len(levels) > 1:
        if jobs.batch:
            raise UsageError("`batch` does not go with the choice of `noise`: tune with the one that `plan` chooses")
        sigmas = SigmaConfig.of(tuple(each.sigma for each in levels), certification(radius), levels[0].name)
    else:
        asked_pilot.refuse_without_choice()
    asked, subject = subject_of(
        oracle,
        images,
        labels,
        noise=levels[0],
        front=start,
        budget=budget,
        seed=0 if seed == STAMPED else seed,
        run=folder,
        split=Split.TRAIN,
        classes=classes,
        batch_size=1,
        concurrency=1,
    )
    with told(callbacks) if callbacks else nullcontext():
        session.tune_coordinator(
            folder,
            subject,
            config=TuneConfig(
                method=method,
                objective=objective,
                radius=radius,
                shots=shots,
                pretrain_epochs=epochs,
                front_size=size,
                surrogate=surrogate,
                train_images=min(len(subject.images), limit or MOST_IMAGES),
                steps=steps,
            ),
            resume=resume,
            stamp=StampConfig(timestamp=timestamp, seed=seed == STAMPED),
            drift=drift_of(asked, canaries, canary_every),
            batch=jobs,
            sigmas=sigmas,
            pilot=asked_pilot,
        )
    return Tuned.read(folder, images=subject.images)
