"""A run that predicts: the smoothed class of each image."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bbsmooth.api.sessions.committing import begun, fixed_images, opened, read_images
from bbsmooth.assemble import Subject, account, grid_for, refuse_small_budget, vote_source
from bbsmooth.certification import PredictCase, run_cases
from bbsmooth.certification.methods.predict import Prediction
from bbsmooth.errors import UsageError
from bbsmooth.progress.meter import meter
from bbsmooth.runs.certificates import Record, public_label
from bbsmooth.runs.files import write_json
from bbsmooth.runs.layout import PREDICTIONS
from bbsmooth.settings.common import GROWING, SPEED, settings
from bbsmooth.settings.predict import PredictConfig
from bbsmooth.settings.stamp import NO_STAMP, StampConfig
from oracles import Classes, Purpose

_CHANGEABLE = SPEED | GROWING


def predict(
    out: Path | None,
    subject: Subject,
    *,
    config: PredictConfig,
    resume: bool,
    stamp: StampConfig = NO_STAMP,
    tell: Callable[[Record], None] = lambda entry: None,
) -> list[Record]:
    """Predict, and return for each image its class or None for an abstention, the votes, and the p-value.

    Args:
        out: run directory; None keeps nothing.
        subject: whom to ask, under which noise, about which images.
        config: what to ask.
        resume: go on with the run in `out`.
        stamp: who stamps what the run fixes before its first query, and whether the seed follows.
        tell: called with each prediction as soon as it is known.

    Raises:
        UsageError: settings that cannot work; nothing was spent.
        BudgetExhausted: the budget does not suffice for all images; what is known is on disk.
        OracleError: see there.
    """
    if out is None and stamp != NO_STAMP:
        raise UsageError("a stamp is kept in a run directory; name one with `out`, or leave out `timestamp`")
    subject = subject.drawing_as(out)
    plan, base, oracle, images = config.plan, subject.oracle, subject.asking, subject.images
    grid_for(subject.seen, subject.smoothing)  # what does not fit is refused before a run is begun
    pictures = fixed_images(read_images(images, range(len(images))))
    refuse_small_budget(oracle, plan.num_draws, "`num_draws`")
    with ExitStack() as stack:
        folder = out or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bbsmooth-")))
        asked = {"files": list(config.files), "n": config.num_draws, "alpha": config.alpha, "resize": config.resize}
        run, fixed = opened(
            folder,
            "predict",
            settings(oracle, subject.smoothing, asked),
            subject.context,
            changeable=_CHANGEABLE,
            images=pictures,
            spec=base.spec,
            stamp=stamp,
            resume=resume,
        )
        smoothing = fixed.smoothing(subject.smoothing)
        stack.enter_context(begun(run, fixed))
        kept = stack.enter_context(account(run, oracle))
        subject.front.keep(folder)
        source = vote_source(base, subject.front, smoothing, kept, (Purpose.PREDICT,))
        predictions: list[Record] = []
        bar = stack.enter_context(meter("predict", len(images) * plan.num_draws, "queries", spending=kept.ledger))
        for index, case, _ in run_cases(
            ((index, images.image(index)) for index in range(len(images))),
            lambda image: PredictCase(image, plan, source, base.spec.classes),
            source,
            batch_size=oracle.batch_size,
            concurrency=oracle.concurrency,
            remaining=lambda: kept.affordable,
            progress=lambda purpose, queries: bar.advance(queries),
        ):
            predictions.append(_record(config.files[index], case.prediction(), base.spec.classes))
            write_json(folder / PREDICTIONS, predictions)
            tell(predictions[-1])
    return predictions


def _record(file: str, found: Prediction, classes: Classes) -> Record:
    """What `predictions.json` says of an image."""
    return {
        "file": file,
        "predicted": None if found.label is None else public_label(found.label, classes),
        "name": None if found.label is None else classes.name(found.label),
        "abstained": found.label is None,
        "reason": found.reason,
        "p_value": found.p_value,
        "alpha": found.alpha,
        "counts": {str(public_label(number, classes)): votes for number, votes in found.counts.items()},
    }
