"""`bbsmooth certify`: certificates for the first images of a data set."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from bbsmooth import data
from bbsmooth.assemble import (
    Front,
    account,
    bare_oracle,
    describe,
    describe_coordinator,
    grid_for,
    images_for,
    refuse_small_budget,
    vote_source,
)
from bbsmooth.certification import CohenCase, CohenPlan, VoteSource, work
from bbsmooth.commands.endings import ENDINGS
from bbsmooth.config import GROWING, SPEED, DataConfig, OracleConfig, SmoothingConfig, settings
from bbsmooth.errors import UsageError
from bbsmooth.labels import match_labels
from bbsmooth.progress import Meter, meter
from bbsmooth.records import (
    SUMMARY,
    CertificateFile,
    Label,
    Record,
    certificate_record,
    read_summary,
    summarize,
    write_summary,
)
from bbsmooth.runs import RunDirectory, ended
from oracles import OracleSpec, Purpose

PURPOSES = (Purpose.SELECT, Purpose.ESTIMATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifyConfig:
    """What to certify, and with which guarantee.

    Args:
        num_selection: draws that choose the class (n0).
        num_estimation: fresh draws that bound its probability (n).
        alpha: probability that a certificate is wrong.
        radii: at which certified accuracy is counted.
        limit: how many images, from the first; None for all.
    """

    num_selection: int
    num_estimation: int
    alpha: float
    radii: tuple[float, ...]
    limit: int | None

    def __post_init__(self) -> None:
        """Refuse what cannot be counted."""
        if not all(radius >= 0 for radius in self.radii):
            raise UsageError(f"--radius must not be negative, got {min(self.radii)}")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"--limit must be at least 1 image, got {self.limit}")

    def plan(self, smoothing: SmoothingConfig) -> CohenPlan:
        """The settings of the certificates."""
        try:
            return CohenPlan(
                noise=smoothing.distribution,
                num_selection=self.num_selection,
                num_estimation=self.num_estimation,
                alpha=self.alpha,
            )
        except UsageError:
            raise
        except ValueError as error:
            raise UsageError(f"--{error}") from None


def certify(
    out: Path,
    *,
    oracle: OracleConfig,
    smoothing: SmoothingConfig,
    images: DataConfig,
    config: CertifyConfig,
    resume: bool,
) -> Record:
    """Certify, and return what `summary.json` says.

    Raises:
        UsageError: settings that cannot work; nothing was spent.
        BudgetExhausted: the budget ended before the images did; all verdicts so far are on disk.
        OracleError: see there; all answers so far are on disk.
    """
    plan = config.plan(smoothing)
    base = bare_oracle(oracle)
    seen = Front(smoothing.coordinator, smoothing.sigma).before(base)  # unfit ones are refused before a run is begun
    grid_for(seen, smoothing)
    dataset = images_for(images, seen.spec, data.Split.TEST)
    count = min(len(dataset), config.limit or len(dataset))
    data.check(dataset, count)
    labels = None if dataset.classes is None else match_labels(dataset.classes, base.spec.classes)
    refuse_small_budget(oracle, plan.queries, "n0 + n")
    run = RunDirectory.open(
        out,
        command="certify",
        settings=settings(oracle, smoothing, images, config),
        context=describe(base.spec, dataset) | describe_coordinator(smoothing.coordinator),
        resume=resume,
        changeable=SPEED | GROWING,
    )
    with ended(run, ENDINGS), account(run, oracle) as kept:
        source = vote_source(base, Front(smoothing.coordinator, smoothing.sigma), smoothing, kept, PURPOSES)
        file = CertificateFile(out)
        count = max(count, len(file.records))
        session = _Session(dataset, count, labels, file, config, out, time.monotonic())
        try:
            with meter("certify", (count - len(file.records)) * plan.queries, "queries") as bar:
                session.run(plan, source, base.spec, oracle, kept.affordable, bar)
        except BaseException:
            with suppress(OSError):  # on a full disk; what ended the run says more
                session.summarize()
            raise
        finally:
            file.close()
        session.summarize()
        return session.summary


@dataclass(slots=True)
class _Session:
    """One process's part of a run."""

    dataset: data.ImageSet
    count: int
    labels: list[Label] | None
    file: CertificateFile
    config: CertifyConfig
    folder: Path
    started: float
    summary: Record | Any = None

    def run(
        self,
        plan: CohenPlan,
        source: VoteSource,
        spec: OracleSpec,
        oracle: OracleConfig,
        affordable: int | None,
        bar: Meter,
    ) -> None:
        """Certify what is not certified yet."""
        verdicts = work(
            self._waiting(),
            lambda image: CohenCase(image, plan, source, spec.classes),
            source,
            batch_size=oracle.batch_size,
            concurrency=oracle.concurrency,
            affordable=affordable,
            progress=lambda purpose, queries: bar.advance(queries),
        )
        for index, case, seconds in verdicts:
            number = self.dataset.label(index)
            label = None if number is None or self.labels is None else self.labels[number]
            self.file.append(certificate_record(index, label, case.verdict(), plan, spec.classes, seconds))
            bar.advance(0, self._so_far())

    def summarize(self) -> None:
        """Write down what all certificates so far say together."""
        before = read_summary(self.folder).get("seconds", 0.0) if (self.folder / SUMMARY).exists() else 0.0
        seconds = before + time.monotonic() - self.started
        self.summary = summarize(self.file.records, self.config.radii, images=self.count, seconds=seconds)
        write_summary(self.folder, self.summary)

    def _waiting(self) -> Iterator[tuple[int, Tensor]]:
        for index in range(len(self.file.records), self.count):
            yield index, self.dataset.image(index)

    def _so_far(self) -> str:
        records = self.file.records
        if self.labels is None:
            return f"{sum(not record['abstained'] for record in records)} of {len(records)} certified"
        return f"{sum(bool(record['correct']) for record in records)} of {len(records)} certified right"
