"""What a pilot asks and says about each of several sigmas, when one of them is chosen by successive halving."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from bbsmooth import data
from bbsmooth.api.sessions.accept import Sample
from bbsmooth.api.sessions.fares import Fare
from bbsmooth.api.sessions.piloting import AskedPilot, pilot_of, way_of
from bbsmooth.assemble import Front, Subject, grid_for
from bbsmooth.assemble.labels import match_labels
from bbsmooth.assemble.sigma_choice import expected_right
from bbsmooth.certification import VoteSource
from bbsmooth.certification.forecast import Expectation, Interval, forecast
from bbsmooth.certification.methods.pilot import Pilot, PilotCase
from bbsmooth.coordinator import Denoised
from bbsmooth.errors import UsageError
from bbsmooth.randomness import fork, image_digest
from bbsmooth.settings.certify import ORACLE, CertifyConfig
from bbsmooth.settings.common import OracleConfig
from bbsmooth.settings.sigma import SigmaConfig, queries_of


@dataclass(slots=True, kw_only=True)
class SigmaTrial:
    """What the pilot has said about one sigma.

    Attributes:
        subject: with this sigma.
        config: the certification.
        source: of its votes.
        asking: asks them.
        sample: which class is right.
        different: images to be certified, equal ones counted once.
        cases: of the images that were asked about.
        right: share of images that are expected to be right and certified.
    """

    subject: Subject
    config: CertifyConfig
    source: VoteSource
    asking: AskedPilot
    sample: Sample
    different: int
    cases: dict[int, PilotCase] = field(default_factory=dict)
    right: Interval = field(default_factory=lambda: Interval(0.0, 0.0, 0.0))

    def ask(self, images: Sequence[tuple[int, Tensor]]) -> None:
        """Ask about images, and forecast from them."""
        self.cases = self.asking.ask(list(images), lambda images, draws: None)
        classes, smoothing = self.source.log.spec.classes, self.subject.smoothing
        self.right = expected_right(
            self.cases,
            lambda index: self.sample.number(index, classes),
            way_of(self.config, smoothing, self.different, capped=False),
            draws=self.asking.draws,
            images=self.different,
            total_variation=self._total_variation,
            seed=smoothing.seed,
        )

    @property
    def pilot(self) -> Pilot:
        """Votes for the leading classes."""
        return pilot_of(self.cases, self.asking.draws)

    @property
    def queries(self) -> Interval:
        """Of the certification with this sigma."""
        return self.expected([self.config])[0].queries

    def expected(self, ways: Sequence[CertifyConfig]) -> tuple[Expectation, ...]:
        """Forecasts of certifications with this sigma; the last one with smaller caps where it has several."""
        smoothing, several = self.subject.smoothing, len(ways) > 1
        return forecast(
            [way_of(way, smoothing, self.different, capped=several and way is ways[-1]) for way in ways],
            self.pilot,
            images=self.different,
            total_variation=self._total_variation,
            seed=smoothing.seed,
            apart=True,
        )

    @property
    def _total_variation(self) -> float:
        return self.source.copies.total_variation(math.prod(self.subject.images.image_shape))


def subjects_by_sigma(
    subject: Subject, choice: SigmaConfig, announce: Callable[[str], None], *, named: bool
) -> dict[float, Subject]:
    """The subject under each noise; what does not fit is refused, or left out, before a run is begun.

    Raises:
        UsageError: the front or the oracle does not go with one of the sigmas, or with all but one.
    """
    found: dict[float, Subject] = {}
    for sigma in choice.sigmas:
        try:
            each = at_sigma(subject, sigma)
            grid_for(each.seen, each.smoothing)
        except UsageError as error:
            if named or (sigma == choice.sigmas[-1] and len(found) < 2):
                raise
            announce(f"sigma {sigma:g} is left out: {error}")
        else:
            found[sigma] = each
    return found


def at_sigma(subject: Subject, sigma: float) -> Subject:
    """The same under other noise.

    Raises:
        UsageError: what stands before the oracle was made for one sigma alone.
    """
    front = subject.front
    if front.held is None:
        other = Front(front.path, sigma)
    elif isinstance(denoised := front.held[0], Denoised) and denoised.space is None:
        again = Denoised(denoiser=denoised.denoiser, sigma=sigma)
        other = Front(None, sigma, (again, again.initial_parameters()))
    else:
        raise UsageError(
            f"`front` was made for sigma {front.held[0].sigma:g} alone: plan with that one, or give a "
            "denoiser that takes any sigma"
        )
    return replace(subject, smoothing=replace(subject.smoothing, sigma=sigma), front=other)


def labelled_sample(subject: Subject, config: CertifyConfig) -> Sample:
    """Which class of each image is right.

    Raises:
        UsageError: nobody says.
    """
    classes = subject.images.classes
    if classes is None or config.labels == ORACLE:
        raise UsageError(
            "`sigma` auto needs images with labels, since strong noise makes most classifiers certain and wrong; "
            "give labelled ones, or the `sigma` itself"
        )
    labels = match_labels(classes, subject.oracle.spec.classes, subject.class_order)
    return Sample(dataset=subject.images, labels=labels, digests=(), groups=())


def other_images(images: data.ImageSet, count: int, most: int, seed: int) -> list[tuple[int, Tensor]]:
    """At most `most` different images, by chance, none of which is equal to one of the first `count`."""
    known = {image_digest(images.image(index)) for index in range(count)}
    found: list[tuple[int, Tensor]] = []
    order = torch.randperm(len(images) - count, generator=fork(seed, "pilot of sigma"))
    for index in (order + count).tolist():
        if len(found) == most:
            break
        image = images.image(index)
        if (digest := image_digest(image)) not in known:
            known.add(digest)
            found.append((index, image))
    return found


def cost_in_words(halving: Sequence[tuple[int, int]], draws: int, oracle: OracleConfig, choice: SigmaConfig) -> str:
    """The cost of the pilot, in words."""
    queries = queries_of(halving, draws)
    price = Fare.of(oracle).said(queries)
    sigmas = ", ".join(format(sigma, "g") for sigma in choice.sigmas)
    return (
        f"the pilot asks {queries:,} queries{price}: sigma {sigmas}; {halving[0][1]} images, at the end "
        f"{halving[-1][1]} for {halving[-1][0]} sigmas, {draws} draws each"
    )


def refuse_small_budget(oracle: OracleConfig, queries: int) -> None:
    """Refuse a budget that does not pay for the choice.

    Raises:
        UsageError: it does not.
    """
    limit = oracle.limits.reach
    if limit is not None and limit < queries:
        raise UsageError(
            f"a budget of {limit} queries cannot pay for the choice of `sigma`, which takes {queries}; raise it, or "
            "lower `pilot` or `pilot_draws`, or name fewer sigmas"
        )
