"""The question of a tuning, settled before its run is begun."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from bbsmooth.api.sessions.committing import Committed, fixed_images, read_images
from bbsmooth.api.sessions.sigma_trials import at_sigma
from bbsmooth.api.sessions.tuning_batch import refuse_long_waiting
from bbsmooth.api.sessions.tuning_idle import refuse_idle
from bbsmooth.api.sessions.tuning_images import TuningImages, tuning_images
from bbsmooth.api.sessions.tuning_method import (
    JUDGED_ONCE,
    as_begun,
    chosen,
    method_of,
    picked,
    rounds,
    taking,
    worth_spending,
)
from bbsmooth.api.sessions.tuning_sigma import SigmaSearch
from bbsmooth.api.sessions.tuning_start import (
    FRONT_SIZE,
    begun_before_sizes,
    refuse_unfit_scores,
    refuse_unfit_size,
    start_from,
)
from bbsmooth.api.sessions.tuning_surrogate import surrogate_for
from bbsmooth.assemble import Subject, grid_for, refuse_without_batches
from bbsmooth.assemble.opening import training_device
from bbsmooth.coordinator import Stored
from bbsmooth.coordinator.making import FOLDED
from bbsmooth.errors import UsageError
from bbsmooth.runs.certificates import Record
from bbsmooth.runs.commitment import FixedImage
from bbsmooth.runs.layout import MANIFEST
from bbsmooth.settings.batch import BatchConfig
from bbsmooth.settings.common import DriftConfig, settings
from bbsmooth.settings.stamp import StampConfig
from bbsmooth.settings.tune import TuneConfig
from bbsmooth.tuning.automatic import Choice
from bbsmooth.tuning.methods import AGREEMENT, Method, within

if TYPE_CHECKING:
    from bbsmooth.whitebox.surrogates import Surrogate


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningQuestion:
    """All that a run is asked to tune, settled before it is begun.

    Attributes:
        subject: whom to ask, under which noise, about which images, and from where tuning starts.
        config: the settings.
        batch: how the oracle is asked, with what that costs.
        search: the choice of sigma that comes first, None where there is nothing to choose.
        images: that tuning learns from.
        choice: the method, and why.
        method: the same, for these images.
        size: of the denoiser that is made, None for the usual one.
        surrogate: that teaches it, None for none.
        device: that tuning computes on.
        available: queries for tuning.
        queries: of these, those that are worth spending.
    """

    subject: Subject
    config: TuneConfig
    batch: BatchConfig
    search: SigmaSearch | None
    images: TuningImages
    choice: Choice
    method: Method
    size: str | None
    surrogate: Surrogate | None
    device: torch.device
    available: int
    queries: int

    @classmethod
    def settled(
        cls,
        out: Path,
        subject: Subject,
        config: TuneConfig,
        search: SigmaSearch | None,
        *,
        resume: bool,
        drift: DriftConfig,
        batch: BatchConfig,
    ) -> TuningQuestion:
        """Settle what the settings leave open.

        Args:
            out: run directory.
            subject: whom to ask, about what.
            config: the settings.
            search: the choice of sigma that comes first, None where there is nothing to choose.
            resume: go on with the run in `out`.
            drift: how a change of the model is noticed.
            batch: how the oracle is asked.

        Raises:
            UsageError: settings, images or oracle that do not fit.
        """
        base, oracle, shape = subject.oracle, subject.asking, subject.images.image_shape
        refuse_without_batches(base, oracle, batch, out)
        batch = batch.priced_as(oracle)
        total = batch.paid(oracle).limits.limit
        if total is None:
            raise UsageError("tuning needs a budget: give `budget`, the queries that may be spent; 0 only pre-trains")
        drift.number(base.spec.remote)
        available = total - (0 if search is None else search.cost)
        images = images_of(subject, config, subject.smoothing.seed, labelled=available > 0)
        before = picked(out) if resume else None
        choice = before or chosen(config, total, base.spec, shape, subject.front, len(images.pixels))
        method = _method(out, choice, config, subject, images, budget=total)
        if not (out / MANIFEST).exists():  # an earlier version took and ignored more
            chooses = search is not None
            refuse_idle(config, subject, method, images, queries=available, chooses=chooses, drift=drift, batch=batch)
        refuse_unfit_scores(method, base.spec)
        queries = worth_spending(method, base.spec, available)
        asked = rounds(taking(method, images, queries, config.steps), images, queries)
        if asked is not None and batch.batch:
            refuse_long_waiting(asked, base, config.steps)
        for sigma in search.subjects if search else [subject.smoothing.sigma]:
            if subject.front.parts is None:
                refuse_unfit_size(_size(out, config), method, shape, sigma)
        grid_for(base, subject.smoothing)
        return cls(
            subject=subject,
            config=config,
            batch=batch,
            search=search,
            images=images,
            choice=choice,
            method=method,
            size=_size(out, config),
            surrogate=surrogate_for(config.surrogate, subject.front, method, shape),
            device=training_device(oracle),
            available=available,
            queries=queries,
        )

    def settings(self, out: Path, drift: DriftConfig) -> Record:
        """Settings of the run in `out`, as the manifest has them."""
        config, subject = self.config, self.subject
        stated = settings(subject.asking, subject.data, config, drift, self.batch if self.batch.batch else {})
        stated["pretrain_epochs"] = config.epochs
        if config.front_size is None and begun_before_sizes(out):
            del stated[FRONT_SIZE]
        return stated | settings(subject.smoothing) | ({} if self.search is None else self.search.settings(out))

    @property
    def context(self) -> Record:
        """What the manifest says of oracle, data, method and surrogate."""
        found = self.subject.context | {"method_used": self.choice.method, "method_because": self.choice.reason}
        if self.method.plan.judges_once:
            found |= {JUDGED_ONCE: True}
        return found if self.surrogate is None else found | {"surrogate": self.surrogate.record}

    def fixed(self, stamp: StampConfig) -> list[FixedImage]:
        """The images of the run, for a commitment; all that may be chosen, where a stamp's seed chooses them."""
        dataset = self.subject.images
        every = read_images(dataset, range(min(self.config.train_images, len(dataset))))
        used = zip(self.images.indices, self.images.pixels, strict=True)
        found = fixed_images(every if self._chosen_by(stamp) else used)
        return found + (self.search.fixed() if self.search else [])

    def seeded(self, stamp: StampConfig, fixed: Committed) -> TuningQuestion:
        """The same with the seed that the run committed itself to."""
        subject = replace(self.subject, smoothing=fixed.smoothing(self.subject.smoothing))
        images = self.images
        if self._chosen_by(stamp):
            images = images_of(subject, self.config, fixed.seed, labelled=self.available > 0)
        return replace(self, subject=subject, images=images)

    def _chosen_by(self, stamp: StampConfig) -> bool:
        """Whether the seed of a stamp chooses the images."""
        return stamp.seed and self.config.shots is not None

    def with_sigma(self, out: Path, found: Record) -> TuningQuestion:
        """The same under the sigma that a search found, with what the search left of the budget."""
        if self.search is None:
            raise TypeError("nothing was searched")
        late = max(0, found["queries"] - self.search.cost)  # what was in flight when it was killed
        subject = at_sigma(self.subject, found["sigma"])
        budget = self.available + self.search.cost
        method = _method(out, self.choice, self.config, subject, self.images, budget=budget)
        return replace(self, subject=subject, method=method, queries=self.queries - late)

    def start(self) -> Stored | None:
        """What tuning starts from, None where it makes its own."""
        return start_from(self.subject.front, self.method, self.images.pixels, self.subject.smoothing)


def images_of(subject: Subject, config: TuneConfig, seed: int, *, labelled: bool) -> TuningImages:
    """The images that tuning learns from; `seed` chooses them where only some of each class are used."""
    return tuning_images(
        subject.images,
        subject.oracle.spec.classes,
        most=config.train_images,
        shots=config.shots,
        labelled=labelled and config.objective != AGREEMENT,
        seed=seed,
        order=subject.class_order,
    )


def _method(
    out: Path, choice: Choice, config: TuneConfig, subject: Subject, images: TuningImages, *, budget: int
) -> Method:
    """The method for these images under the subject's noise, as it judges in the run in `out`."""
    noise, shape = subject.smoothing.distribution, subject.images.image_shape
    return as_begun(within(method_of(choice, config, noise, images.labels, shape), budget), out)


def _size(out: Path, config: TuneConfig) -> str | None:
    """The size of a denoiser that is made; a run that was begun before there were any has its own."""
    return FOLDED if config.front_size is None and begun_before_sizes(out) else config.front_size
