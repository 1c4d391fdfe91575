"""`bbsmooth tune`: a coordinator for an oracle, from the oracle's answers alone."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from torch import Tensor

from bbsmooth import data
from bbsmooth.assemble import (
    COORDINATOR,
    FINE_BITS,
    account,
    bare_oracle,
    charged,
    describe,
    describe_coordinator,
    grid_for,
    images_for,
    load_coordinator,
)
from bbsmooth.commands.endings import ENDINGS
from bbsmooth.config import SPEED, DataConfig, OracleConfig, SmoothingConfig, settings
from bbsmooth.coordinator import Autoencoder, PretrainPlan, load, pretrain, save
from bbsmooth.errors import UsageError
from bbsmooth.labels import match_labels
from bbsmooth.noise import Grid
from bbsmooth.progress import meter
from bbsmooth.records import Record, write_summary
from bbsmooth.runs import RunDirectory, ended, write_bytes, write_json
from bbsmooth.tuning import Event, Schedule, TuneResult, tune
from bbsmooth.tuning.methods import METHODS, Method
from oracles import BudgetExhausted, Classes, Purpose, RecordingOracle

PRETRAINED = "pretrained.safetensors"
CHECKPOINT = "checkpoint.safetensors"
HISTORY = "history.jsonl"
PRETRAINING = "pretraining.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneConfig:
    """What to tune, and how.

    Args:
        method: a name in `bbsmooth.tuning.METHODS`.
        pretrain_epochs: times that every image is seen in denoising pre-training.
        train_images: how many images of the training split are used, from the first.
    """

    method: str
    pretrain_epochs: int
    train_images: int

    def __post_init__(self) -> None:
        """Refuse what does not exist."""
        if self.method not in METHODS:
            raise UsageError(f"--method must be one of {', '.join(METHODS)}, got {self.method!r}")
        if self.pretrain_epochs < 1 or self.train_images < 1:
            raise UsageError("--pretrain-epochs and --train-images must be at least 1")


def tune_coordinator(
    out: Path,
    *,
    oracle: OracleConfig,
    smoothing: SmoothingConfig,
    images: DataConfig,
    config: TuneConfig,
    resume: bool,
) -> None:
    """Pre-train, tune, and leave `coordinator.safetensors` and `summary.json` in `out`.

    A budget of 0 stops after pre-training: the denoiser that costs no query. `smoothing.coordinator` names a run to
    start from in place of pre-training.

    Raises:
        UsageError: settings that cannot work; nothing was spent.
        BudgetExhausted: answers were lost in a crash, so that the budget ended before the plan did; the best
            parameters so far are in place.
        OracleError: see there; all answers so far are on disk.
    """
    method = METHODS[config.method]
    base = bare_oracle(oracle)
    dataset = images_for(images, base.spec, data.Split.TRAIN)
    pixels, labels = _training_images(dataset, base.spec.classes, config.train_images)
    queries = oracle.limits.limit
    if queries is None:
        raise UsageError("tuning needs a budget: give --budget, the queries that may be spent; 0 only pre-trains")
    _refuse_unfit(method, len(pixels), queries)
    grid_for(base, smoothing)
    start = None if smoothing.coordinator is None else _start_from(smoothing, method, dataset.image_shape)
    run = RunDirectory.open(
        out,
        command="tune",
        settings=settings(oracle, smoothing, images, config),
        context=describe(base.spec, dataset) | describe_coordinator(smoothing.coordinator),
        resume=resume,
        changeable=SPEED,
    )
    with ended(run, ENDINGS), account(run, oracle) as kept:
        started = time.monotonic()
        coordinator, parameters, pretraining = _start(out, start, pixels, method, config, smoothing)
        if not (out / COORDINATOR).exists():  # on resuming it may hold better parameters already
            save(out / COORDINATOR, coordinator, parameters)
        summary: Record = {"method": config.method, "pretraining": pretraining, "parameters": len(parameters)}
        if queries:
            asked = RecordingOracle(charged(base, kept.ledger, Purpose.TUNE), kept.store)
            result = _tune(out, coordinator, pixels, labels, asked, method, smoothing, queries)
            save(out / COORDINATOR, coordinator, result.parameters)
            summary |= _describe(result)
        write_summary(out, summary | {"seconds": round(time.monotonic() - started, 3)})


def _training_images(dataset: data.ImageSet, classes: Classes, most: int) -> tuple[Tensor, Tensor]:
    """The first images (N, C, H, W) uint8 of the split, and the oracle's class numbers (N,) of their labels."""
    if dataset.classes is None:
        raise UsageError(f"{dataset.name} has no labels, and tuning needs them; use one folder per class")
    names = match_labels(dataset.classes, classes)
    numbers = torch.tensor([name if isinstance(name, int) else classes.number(name) for name in names])
    indices = range(min(most, len(dataset)))
    return dataset.images(indices), numbers[dataset.labels(indices)]


def _start(
    out: Path,
    start: Autoencoder | None,
    pixels: Tensor,
    method: Method,
    config: TuneConfig,
    smoothing: SmoothingConfig,
) -> tuple[Autoencoder, Tensor, Record]:
    """The coordinator that tuning starts from, its parameters, and what making it took. No query is spent."""
    if start is not None:
        return start, start.initial_parameters(), {"epochs": 0, "seconds": 0.0}
    if (out / PRETRAINED).exists():
        return *load(out / PRETRAINED), json.loads((out / PRETRAINING).read_text())
    began, losses = time.monotonic(), [0.0]
    with meter("pre-train (no query)", config.pretrain_epochs, "epochs") as bar:

        def progress(epoch: int, loss: float) -> None:
            losses.append(loss)
            bar.advance(1, f"mean squared error {loss:.4f}")

        coordinator = pretrain(
            pixels,
            noise=smoothing.distribution,
            form=method.form,
            space=method.space,
            plan=PretrainPlan(epochs=config.pretrain_epochs),
            seed=smoothing.seed,
            progress=progress,
        )
    took = {
        "epochs": config.pretrain_epochs,
        "mean_squared_error": losses[-1],
        "seconds": round(time.monotonic() - began, 3),
    }
    write_json(out / PRETRAINING, took)
    save(out / PRETRAINED, coordinator, coordinator.initial_parameters())
    return coordinator, coordinator.initial_parameters(), took


def _refuse_unfit(method: Method, num_images: int, queries: int) -> None:
    """Refuse, before a run is begun, too few images or queries to tune anything."""
    if num_images < 2:
        raise UsageError(f"tuning needs at least 2 images, got {num_images}")
    if queries:
        try:
            Schedule.within(queries, method.plan, num_images=num_images - method.plan.num_heldout(num_images))
        except ValueError as error:
            raise UsageError(f"--budget: {str(error).partition(';')[0]}; raise it") from None


def _start_from(smoothing: SmoothingConfig, method: Method, image_shape: tuple[int, int, int]) -> Autoencoder:
    """The coordinator to start from, its parameters taken into the weights: the method's own start there at zero."""
    assert smoothing.coordinator is not None
    coordinator, parameters = load_coordinator(smoothing.coordinator, smoothing.sigma)
    if coordinator.image_shape != image_shape:
        raise UsageError(f"--start has a coordinator for images {coordinator.image_shape}, these are {image_shape}")
    if coordinator.form != method.form:
        raise UsageError(
            "--start has a coordinator of another form than --method tunes; start from one of the same form"
        )
    weights = coordinator.space.weights(coordinator.architecture, coordinator.weights, parameters)
    return replace(coordinator, space=method.space, weights=weights)


def _tune(
    out: Path,
    coordinator: Autoencoder,
    pixels: Tensor,
    labels: Tensor,
    asked: RecordingOracle,
    method: Method,
    smoothing: SmoothingConfig,
    queries: int,
) -> TuneResult:
    """Tune within the budget; each step leaves a checkpoint and a line of history."""
    checkpoint = out / CHECKPOINT
    with (out / HISTORY).open("a") as file, meter("tune", queries, "queries") as bar:
        spent = 0

        def history(event: Event) -> None:
            nonlocal spent
            file.write(json.dumps(event) + "\n")
            file.flush()
            note = f"held-out accuracy {event['heldout_accuracy']:.3f}" if event.get("heldout_accuracy") else ""
            bar.advance(int(event["queries"] or 0) - spent, note)
            spent = int(event["queries"] or 0)

        try:
            return tune(
                coordinator,
                pixels,
                labels,
                noise=smoothing.distribution,
                grid=Grid(FINE_BITS),
                plan=method.plan,
                queries=queries,
                seed=smoothing.seed,
                feedback=asked.spec.feedback,
                ask=asked.ask,
                resume=checkpoint.read_bytes() if checkpoint.exists() else None,
                history=history,
                checkpoint=lambda raw: write_bytes(checkpoint, raw),
            )
        except BudgetExhausted:
            if checkpoint.exists():
                save(out / COORDINATOR, coordinator, load_tensors(checkpoint.read_bytes())["best"])
            raise


def _describe(result: TuneResult) -> dict[str, Any]:
    return {
        "steps": result.num_steps,
        "queries": result.queries,
        "best_step": result.best_step,
        "heldout_draws": result.heldout_draws,
        "heldout_accuracy_start": result.start_accuracy,
        "heldout_accuracy_best": result.best_accuracy,
    }
