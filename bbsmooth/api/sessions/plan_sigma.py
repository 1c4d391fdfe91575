"""A choice of sigma, from a pilot on images that are not certified: the one that certifies most at a radius.

Successive halving (Jamieson & Talwalkar, AISTATS 2016). All sigmas are asked about the same images, so that what is
hard about these is hard for each. What is compared is the expected share of images that are right and certified, not
the share of right draws, which says little about it: the votes for the true class go into the model of rates with which
`plan` forecasts certifications, once for each sigma.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from bbsmooth import data
from bbsmooth.api.sessions.accept import Sample
from bbsmooth.api.sessions.bill import Bill
from bbsmooth.api.sessions.fares import Fare
from bbsmooth.api.sessions.piloting import NOTE, AskedPilot, different_images, pilot_of, row_of, way_of
from bbsmooth.assemble import Front, Subject, account, grid_for, vote_source
from bbsmooth.assemble.labels import match_labels
from bbsmooth.certification import VoteSource
from bbsmooth.certification.forecast import CONFIDENCE, Expectation, Interval, forecast
from bbsmooth.certification.methods.pilot import Pilot, PilotCase
from bbsmooth.coordinator import Denoised
from bbsmooth.errors import UsageError
from bbsmooth.randomness import fork, image_digest
from bbsmooth.runs.certificates import Record, write_summary
from bbsmooth.runs.directory import RunDirectory, ended
from bbsmooth.runs.endings import ENDINGS
from bbsmooth.runs.usage import usage_summary
from bbsmooth.settings.certify import ORACLE, CertifyConfig
from bbsmooth.settings.common import GROWING, SPEED, USUAL_DRIFT, DriftConfig, OracleConfig, settings
from bbsmooth.settings.plan import PilotConfig, compared
from bbsmooth.settings.sigma import AUTO, SigmaConfig, queries_of, rounds
from oracles import Purpose


def plan_sigma(
    out: Path | None,
    subject: Subject,
    *,
    config: CertifyConfig,
    pilot: PilotConfig,
    choice: SigmaConfig,
    resume: bool,
    announce: Callable[[str], None],
    drift: DriftConfig = USUAL_DRIFT,
    named: bool = True,
) -> Record:
    """The sigma that certifies most at a radius, and what certifying with it and with others lets expect.

    Args:
        out: run directory; None keeps nothing.
        subject: whom to ask, with the budget and the price of the pilot, about which images. The first `config.limit`
            are to be certified; the pilot asks about others.
        config: the certification that is planned, with one radius.
        pilot: images of the first round, which each further round doubles; and draws of each under each sigma.
        choice: the sigmas.
        resume: go on with the pilot in `out`.
        announce: told what the pilot costs, before it is asked.
        drift: how a change of the model is noticed, which the certification pays for.
        named: whether somebody asked for these sigmas; of others, those for which the front is not made are left out.

    Raises:
        UsageError: settings that cannot work, or a budget below the pilot; nothing was spent.
        OracleError: see there; all answers so far are on disk.
    """
    subject = subject.drawing_as(out)
    count = min(len(subject.images), config.limit or len(subject.images))
    subjects = _subjects(subject, choice, announce, named=named)
    choice = SigmaConfig(sigmas=tuple(subjects))
    sample = _sample(subject, config)
    data.check(subject.images, count)
    different = len(different_images(subject.images, count))
    draws = min(pilot.pilot_draws, config.num_selection)
    most = rounds(len(subjects), pilot.pilot, len(subject.images))[-1][1]
    images = _others(subject.images, count, most, subject.smoothing.seed)
    halving = rounds(len(subjects), pilot.pilot, len(images))
    _refuse_few(images, count, pilot.pilot)
    _refuse_small_budget(subject.asking, queries_of(halving, draws))
    with ExitStack() as stack:
        run = RunDirectory.open(
            out or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bbsmooth-"))),
            command="plan",
            settings=settings(subject.asking, subject.smoothing, subject.data, config, pilot, choice, drift)
            | {"sigma": AUTO},
            context=subject.context,
            resume=resume,
            changeable=(SPEED | GROWING | settings(config, pilot, choice, drift).keys()) - {"limit"},
        )
        stack.enter_context(ended(run, ENDINGS))
        kept = stack.enter_context(account(run, subject.asking))
        subject.front.keep(run.path)
        trials = {}
        for sigma, each in subjects.items():
            source = vote_source(each.oracle, each.front, each.smoothing, kept, (Purpose.SELECT,))
            asking = AskedPilot(run, kept, source, subject.asking, draws)
            trials[sigma] = _Trial(
                subject=each, config=config, source=source, asking=asking, sample=sample, different=different
            )
        announce(_cost(halving, draws, subject.asking, choice))
        left = _halve(trials, halving, images)
        chosen = max(left, key=lambda sigma: trials[sigma].right.expected)
        bill = Bill(
            images=0,
            equal=count / different,
            canaries=drift.number(subject.seen.spec.remote),
            canary_every=drift.canary_every,
            seconds_per_query=asking.seconds_per_query,
            fare=Fare.of(subject.asking, kept.ledger),
        )
        best = trials[chosen]
        seen = best.pilot
        summary: Record = {
            "images": count,
            "different": different,
            "confidence": CONFIDENCE,
            "pilot": {"images": sorted(best.cases), "votes": list(seen.votes), "draws": draws}
            | {"unanswered": seen.unanswered, "queries": kept.ledger.total, "price": kept.ledger.price}
            | {"seconds": asking.seconds}
            | ({"per_query": tokens} if (tokens := bill.fare.per_query()) else {}),
            **usage_summary(kept.ledger.as_json()),
            "sigma": chosen,
            "sigmas": [
                {"sigma": sigma, "images": len(trial.cases)}
                | {"certified": {"radius": config.radii[0], **asdict(trial.right)}, **bill.record(trial.queries)}
                for sigma, trial in trials.items()
            ],
            "expected": [
                row_of(way, each, bill, pilot, count)
                for way, each in zip(compared(config), best.expected(compared(config)), strict=True)
            ],
        }
        run.note(NOTE, {"seconds": asking.seconds, "sigma": chosen})
        write_summary(run.path, summary)
        return summary


@dataclass(slots=True, kw_only=True)
class _Trial:
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
        classes = self.source.log.spec.classes
        votes = [case.votes_for(self.sample.number(index, classes)) for index, case in self.cases.items()]
        answered = tuple(each for each in votes if each is not None)
        seen = Pilot(votes=answered, draws=self.asking.draws, unanswered=len(votes) - len(answered))
        ((self.right,),) = (each.certified for each in self._forecast([self.config], seen))

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
        return self._forecast(ways, self.pilot)

    def _forecast(self, ways: Sequence[CertifyConfig], seen: Pilot) -> tuple[Expectation, ...]:
        smoothing, images = self.subject.smoothing, self.subject.images
        several = len(ways) > 1
        return forecast(
            [way_of(way, smoothing, self.different, capped=several and way is ways[-1]) for way in ways],
            seen,
            images=self.different,
            total_variation=self.source.copies.total_variation(math.prod(images.image_shape)),
            seed=smoothing.seed,
            apart=True,
        )


def _halve(
    trials: dict[float, _Trial], halving: Sequence[tuple[int, int]], images: Sequence[tuple[int, Tensor]]
) -> list[float]:
    """The sigmas of the last round, after all rounds."""
    left = list(trials)
    for number, seen in halving:
        left = sorted(sorted(left, key=lambda sigma: -trials[sigma].right.expected)[:number])
        for sigma in left:
            trials[sigma].ask(images[:seen])
    return left


def _subjects(
    subject: Subject, choice: SigmaConfig, announce: Callable[[str], None], *, named: bool
) -> dict[float, Subject]:
    """The subject under each noise; what does not fit is refused, or left out, before a run is begun.

    Raises:
        UsageError: the front or the oracle does not go with one of the sigmas, or with all but one.
    """
    found: dict[float, Subject] = {}
    for sigma in choice.sigmas:
        try:
            each = _at(subject, sigma)
            grid_for(each.seen, each.smoothing)
        except UsageError as error:
            if named or (sigma == choice.sigmas[-1] and len(found) < 2):
                raise
            announce(f"sigma {sigma:g} is left out: {error}")
        else:
            found[sigma] = each
    return found


def _at(subject: Subject, sigma: float) -> Subject:
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


def _sample(subject: Subject, config: CertifyConfig) -> Sample:
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


def _others(images: data.ImageSet, count: int, most: int, seed: int) -> list[tuple[int, Tensor]]:
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


def _cost(halving: Sequence[tuple[int, int]], draws: int, oracle: OracleConfig, choice: SigmaConfig) -> str:
    """The cost of the pilot, in words."""
    queries = queries_of(halving, draws)
    price = Fare.of(oracle).said(queries)
    sigmas = ", ".join(format(sigma, "g") for sigma in choice.sigmas)
    return (
        f"the pilot asks {queries:,} queries{price}: sigma {sigmas}; {halving[0][1]} images, at the end "
        f"{halving[-1][1]} for {halving[-1][0]} sigmas, {draws} draws each"
    )


def _refuse_few(images: Sequence[tuple[int, Tensor]], count: int, pilot: int) -> None:
    if len(images) < pilot:
        raise UsageError(
            f"`sigma` is chosen on images that are not certified, and after the first {count:,} there are "
            f"{len(images):,} others for `pilot` {pilot}: lower `limit`, which says how many are certified, or `pilot`"
        )


def _refuse_small_budget(oracle: OracleConfig, queries: int) -> None:
    limit = oracle.limits.reach
    if limit is not None and limit < queries:
        raise UsageError(
            f"a budget of {limit} queries cannot pay for the choice of `sigma`, which takes {queries}; raise it, or "
            "lower `pilot` or `pilot_draws`, or name fewer sigmas"
        )
