"""A coordinator that is tuned in a run directory: its queries, its checkpoints, its history."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors

from bbsmooth.api.sessions.tuning_batch import spare
from bbsmooth.api.sessions.tuning_images import TuningImages
from bbsmooth.api.sessions.tuning_method import rounds, taking
from bbsmooth.api.sessions.tuning_resume import keep_event
from bbsmooth.assemble import (
    Account,
    Front,
    Subject,
    answering,
    batch_executor,
    charged,
    grid_for,
    has_asked_by_batch,
)
from bbsmooth.assemble.drift import CanaryImages, Held, watched
from bbsmooth.coordinator import Stored, save
from bbsmooth.noise import Grid
from bbsmooth.progress.meter import Spending, meter
from bbsmooth.runs.certificates import Record
from bbsmooth.runs.decoding import Damaged
from bbsmooth.runs.directory import RunDirectory
from bbsmooth.runs.files import write_bytes
from bbsmooth.runs.layout import CHECKPOINT, COORDINATOR
from bbsmooth.settings.batch import BatchConfig
from bbsmooth.settings.common import DriftConfig, SmoothingConfig
from bbsmooth.tuning import Concurrent, Event, QueryExecutor, TuneResult, one_by_one, tune
from bbsmooth.tuning.checkpoint import ForeignCheckpoint
from bbsmooth.tuning.methods import Method
from oracles import BudgetExhausted, OracleChanged, Purpose, RecordingOracle
from oracles.capabilities import interruption
from oracles.identity import IdentifiedOracle
from oracles.recording import AnswerLog

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TuningTask:
    """A coordinator that is tuned in a run directory."""

    out: Path
    coordinator: Stored
    images: TuningImages
    method: Method
    smoothing: SmoothingConfig
    device: torch.device
    steps: int | None

    def tuned(
        self,
        run: RunDirectory,
        subject: Subject,
        kept: Account,
        drift: DriftConfig,
        queries: int,
        batch: BatchConfig,
    ) -> TuneResult:
        """Tune within the budget, less what canaries take."""
        base, pixels = subject.oracle, self.images.pixels
        canaries = CanaryImages(
            image=pixels.__getitem__, among=len(pixels), smoothing=self.smoothing, grid=grid_for(base, self.smoothing)
        )
        with (
            _best_kept(self.out, self.coordinator),
            _resumable(self.out),
            answering(base, subject.asking, Front(None, self.smoothing.sigma)) as (answerer, speed),
            watched(run, answerer, kept, drift, canaries) as watching,
        ):
            watch = watching.watch
            queries = spare(subject.asking, watch, queries, batch)
            task = replace(self, method=taking(self.method, self.images, queries, self.steps))
            rounds(task.method, self.images, queries)
            asked = IdentifiedOracle(charged(answerer, kept.ledger, Purpose.TUNE), kept.store)
            log = AnswerLog(watch.store, asked.spec) if batch.batch or has_asked_by_batch(run) else None
            recorded = RecordingOracle(watch.guard(asked), watch.store, log)
            steps = watching.hold(partial(_keep, self.out))
            executor: QueryExecutor = one_by_one
            if log is not None and batch.batch:
                executor = batch_executor(run, answerer, kept, recorded, log, watch, batch)
            elif subject.asking.on_ray:
                executor = Concurrent(speed.concurrency, interruption(answerer))
            return task._tune(recorded, steps, queries, kept.ledger, executor)

    def _tune(
        self, asked: RecordingOracle, steps: Held[_Step], queries: int, spending: Spending, executor: QueryExecutor
    ) -> TuneResult:
        """Each step leaves a checkpoint and a line of history once its answers are established."""
        checkpoint, chosen = self.out / CHECKPOINT, self.images.within(queries)
        with meter("tune", queries, "queries", spending=spending) as bar:
            spent, latest = 0, b""

            def remember(raw: bytes) -> None:
                nonlocal latest
                latest = raw

            def history(event: Event) -> None:
                nonlocal spent
                steps.add((latest, event))
                note = f"held-out accuracy {event['heldout_accuracy']:.3f}" if event.get("heldout_accuracy") else ""
                bar.advance(int(event["queries"] or 0) - spent, note, event)
                spent = int(event["queries"] or 0)

            return tune(
                self.coordinator.on(self.device),
                chosen.pixels,
                chosen.truth(asked.ask, executor),
                noise=self.smoothing.distribution,
                grid=Grid.fitting(self.smoothing.distribution, eight_bit=False, algorithm=self.smoothing.algorithm),
                plan=self.method.plan,
                queries=queries - self.images.cost(queries),
                seed=self.smoothing.seed,
                feedback=asked.spec.feedback,
                ask=asked.ask,
                executor=executor,
                resume=checkpoint.read_bytes() if checkpoint.exists() else None,
                history=history,
                checkpoint=remember,
            )


_Step = tuple[bytes, Event]
"""A checkpoint, and what history says of the step that led to it."""


def _keep(out: Path, step: _Step) -> None:
    """Write a step down."""
    raw, event = step
    keep_event(out, event)  # first: what is beyond the checkpoint is dropped on resuming
    write_bytes(out / CHECKPOINT, raw)


@contextmanager
def _best_kept(out: Path, coordinator: Stored) -> Iterator[None]:
    """Leave the best parameters so far where the budget or a change of the model ends the block."""
    try:
        yield
    except (BudgetExhausted, OracleChanged):
        if (out / CHECKPOINT).exists():
            save(out / COORDINATOR, coordinator, load_tensors((out / CHECKPOINT).read_bytes())["best"])
        raise


@contextmanager
def _resumable(out: Path) -> Iterator[None]:
    """Say what to do with a checkpoint whose settings are those of its run, and whose steps are not.

    Raises:
        Damaged: it is such a one.
    """
    try:
        yield
    except ForeignCheckpoint as error:
        raise Damaged(
            f"{out} was begun by a version that divides a budget into other steps: go on with that version, or name "
            "another `run`; its answers stay where they are"
        ) from error


def described(result: TuneResult, radius: float | None, queries: int) -> Record:
    """What `summary.json` says of a tuning that had `queries` to spend; a `radius` judged it, or None."""
    told: dict[str, Any] = {
        "steps": result.num_steps,
        "queries": result.queries,
        "best_step": result.best_step,
        "heldout_draws": result.heldout_draws,
        "heldout_accuracy_start": result.start_accuracy,
        "heldout_accuracy_best": result.best_accuracy,
    }
    if radius is None:
        return told
    judged = result.judged
    verdict = f"tuning buys nothing here: {result.queries:,} of {queries:,} queries used, start kept"
    if result.best_step:
        before, after = (f"{100 * judged[which]:.1f} %" for which in ("start", "best"))
        verdict = f"certified at radius {radius:g}: {before} of held-out images before, {after} now"
    _log.info(verdict)
    return told | {
        "judged_radius": radius,
        "heldout_images": int(judged["images"]),
        "heldout_certified_start": judged["start"],
        "heldout_certified_best": judged["best"],
        "gain_p_value": judged.get("p_value"),
        "verdict": verdict,
    }
