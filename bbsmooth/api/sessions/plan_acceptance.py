"""The acceptance test in a plan: what a pilot lets expect of its cost and of its answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from bbsmooth.api.sessions.accept import Sample, refuse_hopeless
from bbsmooth.assemble import Subject, copies_for
from bbsmooth.certification.acceptance.claims import AcceptancePlan, Answer
from bbsmooth.certification.acceptance.forecast import (
    AcceptanceExpectation,
    ImageTrials,
    LabelPilot,
    forecast_acceptance,
)
from bbsmooth.certification.methods.pilot import Pilot, PilotCase
from bbsmooth.runs.certificates import Record
from bbsmooth.settings.accept import AcceptConfig
from oracles import Classes


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedAcceptance:
    """An acceptance test that may follow.

    Attributes:
        config: its settings, the levels of one image included.
        plan: the same, for the images that there are.
        sample: these images.
        total_variation: distance between drawn and ideal noise of one image.
        budget: queries after which it ends, None for no limit.
    """

    config: AcceptConfig
    plan: AcceptancePlan
    sample: Sample
    total_variation: float
    budget: int | None = None

    @classmethod
    def of(
        cls, subject: Subject, config: AcceptConfig, budget: int | None, groups: Sequence[str] | None
    ) -> PlannedAcceptance:
        """Read the images and their labels.

        Args:
            subject: whom to ask, about which images.
            config: the claims.
            budget: queries after which the test ends, None for no limit.
            groups: of each image, None where `config.groups` names classes or nothing.

        Raises:
            UsageError: images without labels, groups of other images, or a claim that could not be shown whatever the
                oracle says.
        """
        noise = subject.smoothing.distribution
        config = config.settled(noise)
        sample = Sample.of(subject, config, groups)
        plan = config.plan(noise, sample.sizes)
        copies = copies_for(subject.seen, subject.smoothing)
        total_variation = copies.total_variation(math.prod(subject.images.image_shape))
        refuse_hopeless(plan, total_variation)
        return cls(config=config, plan=plan, sample=sample, total_variation=total_variation, budget=budget)

    def expected(
        self, unlike: Sequence[int], cases: Mapping[int, PilotCase], classes: Classes, draws: int, seed: int
    ) -> AcceptanceExpectation:
        """The forecast.

        Args:
            unlike: the first of each kind of equal images.
            cases: the pilot's, by image.
            classes: of the oracle.
            draws: of each image of the pilot.
            seed: of the simulation.
        """
        votes = {index: case.votes_for(self.sample.number(index, classes)) for index, case in cases.items()}
        place = {index: number for number, index in enumerate(unlike)}
        kind_of = {self.sample.digests[index]: number for index, number in place.items()}
        kinds = np.array([kind_of[digest] for digest in self.sample.digests])
        numbers = {group: number for number, group in enumerate(self.plan.sizes)}
        groups = np.array([numbers[group] for group in self.sample.groups])
        ascending = kinds.argsort(kind="stable")
        answered = {place[index]: count for index, count in votes.items() if count is not None}
        silent = [place[index] for index, count in votes.items() if count is None]
        seen = LabelPilot(
            pilot=Pilot(votes=tuple(answered.values()), draws=draws, unanswered=len(silent)),
            places=list(answered),
            silent=silent,
            kinds=kinds[ascending],
            groups=groups[ascending],
        )
        trials = ImageTrials.of(self.plan, total_variation=self.total_variation, generator=np.random.default_rng(seed))
        return forecast_acceptance(
            self.plan, seen, trials, total_variation=self.total_variation, seed=seed, budget=self.budget
        )

    def record(self, coming: AcceptanceExpectation, cost: Record) -> Record:
        """The forecast, for `summary.json`.

        Args:
            coming: the forecast.
            cost: queries, seconds and price.
        """
        config = self.config
        return {
            "at_least": config.at_least,
            "alpha_total": config.alpha_total,
            "beta": config.beta,
            "population": config.population,
            "groups": config.groups,
            "num_estimation": config.num_estimation,
            "max_images": sum(map(self.plan.cap, self.plan.sizes)),
            "budget": self.budget,
            "image_alpha": config.image_alpha,
            "image_beta": config.image_beta,
            **cost,
            "images": asdict(coming.images),
            "answer": _chances(coming.answer),
            "claims": [
                {"group": group, "radius": radius, "good": asdict(claim.good), "answer": _chances(claim.answer)}
                for group, claims in coming.claims.items()
                for radius, claim in zip(config.radii, claims, strict=True)
            ],
        }


def _chances(answer: Mapping[Answer, float]) -> Record:
    return {one.value: chance for one, chance in answer.items()}
