"""A choice of sigma, from a pilot on images that are not certified: the one that certifies most at a radius.

Successive halving (Jamieson & Talwalkar, AISTATS 2016). All sigmas are asked about the same images, so that what is
hard about these is hard for each. What is compared is the expected share of images that are right and certified, not
the share of right draws, which says little about it: the votes for the true class go into the model of rates with which
`plan` forecasts certifications, once for each sigma.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from torch import Tensor

from bbsmooth import data
from bbsmooth.api.sessions.bill import Bill
from bbsmooth.api.sessions.fares import Fare
from bbsmooth.api.sessions.piloting import NOTE, AskedPilot, different_images, pilot_record, planning, row_of
from bbsmooth.api.sessions.sigma_trials import (
    SigmaTrial,
    cost_in_words,
    labelled_sample,
    other_images,
    refuse_small_budget,
    subjects_by_sigma,
)
from bbsmooth.assemble import Subject, account, vote_source
from bbsmooth.assemble.sigma_choice import best_of, halve
from bbsmooth.certification.forecast import CONFIDENCE
from bbsmooth.errors import UsageError
from bbsmooth.runs.certificates import Record, write_summary
from bbsmooth.runs.usage import usage_summary
from bbsmooth.settings.certify import CertifyConfig
from bbsmooth.settings.common import GROWING, SPEED, USUAL_DRIFT, DriftConfig, settings
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
    subject, canaries = subject.drawing_as(out), drift.number(subject.oracle.spec.remote)
    count = min(len(subject.images), config.limit or len(subject.images))
    subjects = subjects_by_sigma(subject, choice, announce, named=named)
    choice = SigmaConfig(sigmas=tuple(subjects))
    sample = labelled_sample(subject, config)
    data.check(subject.images, count)
    different = len(different_images(subject.images, count))
    draws = min(pilot.pilot_draws, config.num_selection)
    most = rounds(len(subjects), pilot.pilot, len(subject.images))[-1][1]
    images = other_images(subject.images, count, most, subject.smoothing.seed)
    halving = rounds(len(subjects), pilot.pilot, len(images))
    _refuse_few(images, count, pilot.pilot)
    refuse_small_budget(subject.asking, queries_of(halving, draws))
    asked = settings(subject.asking, subject.smoothing, subject.data, config, pilot, choice, drift) | {"sigma": AUTO}
    changeable = (SPEED | GROWING | settings(config, pilot, choice, drift).keys()) - {"limit"}
    with (
        planning(out, asked, subject.context, changeable=changeable, resume=resume) as run,
        account(run, subject.asking) as kept,
    ):
        subject.front.keep(run.path)
        trials = {}
        for sigma, each in subjects.items():
            source = vote_source(each.oracle, each.front, each.smoothing, kept, (Purpose.SELECT,))
            asking = AskedPilot(run, kept, source, subject.asking, draws)
            trials[sigma] = SigmaTrial(
                subject=each, config=config, source=source, asking=asking, sample=sample, different=different
            )
        announce(cost_in_words(halving, draws, subject.asking, choice))
        left = halve(trials, halving, images)
        chosen = best_of(left, trials)
        best = trials[chosen]
        bill = Bill(
            images=0,
            equal=count / different,
            canaries=canaries,
            canary_every=drift.canary_every,
            seconds_per_query=best.asking.seconds_per_query,
            fare=Fare.of(subject.asking, kept.ledger),
        )
        summary: Record = {
            "images": count,
            "different": different,
            "confidence": CONFIDENCE,
            "pilot": pilot_record(sorted(best.cases), best.pilot, best.asking, bill),
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
        run.note(NOTE, {"seconds": best.asking.seconds, "sigma": chosen})
        write_summary(run.path, summary)
        return summary


def _refuse_few(images: Sequence[tuple[int, Tensor]], count: int, pilot: int) -> None:
    if len(images) < pilot:
        raise UsageError(
            f"`sigma` is chosen on images that are not certified, and after the first {count:,} there are "
            f"{len(images):,} others for `pilot` {pilot}: lower `limit`, which says how many are certified, or `pilot`"
        )
