"""The choice of sigma that a tuning begins with: a pilot on its own budget, before anything is tuned.

What will stand before the oracle is not made yet. So the pilot asks behind the denoiser that tuning starts from, or,
where it will make one, behind the shipped denoiser; see `plan_sigma` for how sigmas are compared. It asks about images
that tuning does not learn from, where there are enough.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from bbsmooth.api.sessions.accept import Sample
from bbsmooth.api.sessions.piloting import AskedPilot
from bbsmooth.api.sessions.sigma_trials import (
    SigmaTrial,
    cost_in_words,
    labelled_sample,
    other_images,
    refuse_small_budget,
    subjects_by_sigma,
)
from bbsmooth.assemble import Account, Front, Subject, describe_classifier, vote_source
from bbsmooth.assemble.sigma_choice import best_of, halve
from bbsmooth.randomness import image_digest
from bbsmooth.runs.certificates import Record
from bbsmooth.runs.commitment import FixedImage
from bbsmooth.runs.directory import RunDirectory, read_manifest
from bbsmooth.runs.layout import CHOICE, MANIFEST
from bbsmooth.settings.certify import CertifyConfig
from bbsmooth.settings.plan import PILOT, PILOT_DRAWS
from bbsmooth.settings.sigma import (
    AUTO,
    FORECAST,
    SigmaConfig,
    SigmaPilotConfig,
    certification,
    queries_of,
    rounds,
)
from bbsmooth.settings.tune import TuneConfig
from oracles import Purpose

_SHIPPED = {"small": "natural-small"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SigmaSearch:
    """A choice that is to be made, or was made by an earlier process.

    Attributes:
        subjects: what is asked, by sigma.
        config: the certification that is meant.
        sample: which class of each image is right.
        images: of the pilot, with their places.
        halving: rounds, see `bbsmooth.settings.sigma.rounds`.
        draws: of each image under each sigma.
        announce: told what it costs, before it is asked.
    """

    subjects: Mapping[float, Subject]
    config: CertifyConfig
    sample: Sample
    images: list[tuple[int, Tensor]]
    halving: list[tuple[int, int]]
    draws: int
    announce: Callable[[str], None]

    @classmethod
    def of(
        cls,
        subject: Subject,
        tuned: TuneConfig,
        choice: SigmaConfig,
        pilot: SigmaPilotConfig,
        *,
        named: bool,
        announce: Callable[[str], None],
    ) -> SigmaSearch:
        """Check what can be before anything is asked.

        Args:
            subject: of the tuning.
            tuned: its settings: the radius, the images that it learns from, the denoiser that it will make.
            choice: the sigmas.
            pilot: how much is asked.
            named: whether somebody asked for these sigmas; of others, those that the denoiser does not take are left
                out.
            announce: told which are left out, and what the choice costs.

        Raises:
            UsageError: what cannot be chosen, or not paid for; nothing was spent.
        """
        config = certification(tuned.radius)
        if subject.front.parts is None:
            subject = replace(
                subject, front=Front(Path(_SHIPPED.get(tuned.front_size or "", "natural")), subject.smoothing.sigma)
            )
        subjects = subjects_by_sigma(subject, choice, announce, named=named)
        first, draws = pilot.pilot or PILOT, pilot.pilot_draws or PILOT_DRAWS
        dataset, seed = subject.images, subject.smoothing.seed
        sample = labelled_sample(subject, config)
        most = rounds(len(subjects), first, len(dataset))[-1][1]
        images = other_images(dataset, min(tuned.train_images, len(dataset)), most, seed)
        if len(images) < first:
            images = other_images(dataset, 0, most, seed)
        halving = rounds(len(subjects), first, len(images))
        refuse_small_budget(subject.asking, queries_of(halving, draws))
        return cls(
            subjects=subjects,
            config=config,
            sample=sample,
            images=images,
            halving=halving,
            draws=draws,
            announce=announce,
        )

    @property
    def cost(self) -> int:
        """Queries of the pilot."""
        return queries_of(self.halving, self.draws)

    def settings(self, out: Path) -> dict[str, Any]:
        """Settings of the run in `out`: sigma is what was asked for until it is chosen."""
        made = chosen_before(out)
        return {
            "sigma": AUTO if made is None else made["sigma"],
            "sigmas": list(self.subjects),
            "pilot": self.halving[0][1],
            "pilot_draws": self.draws,
        }

    def fixed(self) -> list[FixedImage]:
        """The pilot's images, for a commitment."""
        return [FixedImage(image_digest(image), index=index) for index, image in self.images]

    def chosen(self, run: RunDirectory, kept: Account, seed: int) -> Record:
        """What was chosen, asked for first where no earlier process did; the manifest has it before anything is tuned.

        Args:
            run: of the tuning.
            kept: pays for it.
            seed: of all draws.

        Raises:
            BudgetExhausted: answers were lost in a crash, so that the budget does not pay for the rest.
            OracleError: see there; a later call goes on with the answers on record.
        """
        made: Record | None = dict[str, Any](run.manifest).get(CHOICE)
        if made is not None:
            return made
        trials = {}
        for sigma, each in self.subjects.items():
            smoothing = replace(each.smoothing, seed=seed)
            source = vote_source(each.oracle, each.front, smoothing, kept, (Purpose.SELECT,))
            trials[sigma] = SigmaTrial(
                subject=replace(each, smoothing=smoothing),
                config=self.config,
                source=source,
                asking=AskedPilot(run, kept, source, each.asking, self.draws),
                sample=self.sample,
                different=FORECAST,
            )
        any_sigma = next(iter(self.subjects.values()))
        self.announce(cost_in_words(self.halving, self.draws, any_sigma.asking, SigmaConfig(sigmas=tuple(trials))))
        left = halve(trials, self.halving, self.images)
        sigma = best_of(left, trials)
        spent, radius = kept.ledger.spent[Purpose.SELECT], self.config.radii[0]
        found: Record = {
            "sigma": sigma,
            "radius": radius,
            "queries": spent,
            "price": kept.ledger.price,
            "sigmas": [
                {
                    "sigma": each,
                    "images": len(trial.cases),
                    "certified": {"radius": radius, **asdict(trial.right)},
                    **describe_classifier(trial.source.log.spec),
                }
                for each, trial in trials.items()
            ],
        }
        run.manifest["settings"]["sigma"] = sigma
        run.note(CHOICE, found)
        self.announce(
            f"sigma {sigma:g} is expected to certify most at radius {radius:g}: "
            f"{100 * trials[sigma].right.expected:.0f} % of images like these right and certified"
        )
        return found


def chosen_before(out: Path) -> Record | None:
    """What an earlier process of the run in `out` chose, None where none did."""
    if not (out / MANIFEST).exists():
        return None
    found: Record | None = dict[str, Any](read_manifest(out)).get(CHOICE)
    return found
