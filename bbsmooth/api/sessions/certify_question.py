"""The question of a certification, settled before its run is begun."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bbsmooth.api.sessions.committing import fixed_images, read_images
from bbsmooth.assemble import Account, Subject, copies_for, describe_classifier, grid_for
from bbsmooth.assemble.drift import LEAST, CanaryImages
from bbsmooth.assemble.incremental import EarlierRun, earlier_run
from bbsmooth.assemble.labels import match_labels
from bbsmooth.certification import VoteSource, unreachable_radii
from bbsmooth.certification.methods.cases import AnyPlan, opener
from bbsmooth.certification.methods.incremental import IncrementalPlan
from bbsmooth.certification.methods.splitting import SplittingPlan
from bbsmooth.errors import UsageError
from bbsmooth.runs.certificates import Record
from bbsmooth.runs.commitment import FixedImage
from bbsmooth.runs.directory import read_manifest
from bbsmooth.runs.layout import MANIFEST
from bbsmooth.runs.records.values import Label
from bbsmooth.settings.certify import DATA, ORACLE, CertifyConfig
from bbsmooth.settings.common import OracleConfig
from bbsmooth.verification.replay import Replay
from oracles import Oracle, Purpose, VoteLog

_log = logging.getLogger("bbsmooth")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """All that a run is asked to show, settled before it is begun.

    Attributes:
        config: the settings.
        plan: of each image.
        images: to certify, from the first.
        labels: of the classes in the data, as the oracle names them; None where nothing is compared with them.
        seen: the oracle behind its front.
        context: what the manifest says of oracle, data and an earlier run.
        changed: the run of the classifier before it was changed.
    """

    config: CertifyConfig
    plan: AnyPlan
    images: Sequence[FixedImage]
    labels: list[Label] | None
    seen: Oracle
    context: Record
    changed: EarlierRun | None

    @classmethod
    def settled(
        cls,
        subject: Subject,
        config: CertifyConfig,
        incremental_from: Path | None,
        *,
        reported: Sequence[float],
        begun: bool,
    ) -> Question:
        """Settle what the settings leave open.

        Args:
            subject: whom to ask, about what.
            config: the settings.
            incremental_from: run of the classifier before it was changed, None for none.
            reported: radii at which the run reports that is resumed.
            begun: whether there is a run that goes on, which keeps its settings as they are.

        Raises:
            UsageError: settings, images or oracle that do not fit.
        """
        seen, smoothing, dataset = subject.seen, subject.smoothing, subject.images
        copies_for(seen, smoothing)
        config = config.settled(smoothing.mechanism)
        config.decidable_plan(smoothing.mechanism, 1)
        context = subject.context | describe_classifier(seen.spec)
        changed = None if incremental_from is None else earlier_run(incremental_from, smoothing, context)
        if changed is not None:
            config = changed.settled(config)
            context |= {"earlier": changed.described}
        count = min(len(dataset), config.limit or len(dataset))
        images = fixed_images(read_images(dataset, range(count)))
        plan = config.decidable_plan(smoothing.mechanism, count)
        if beyond := unreachable_radii(plan):
            _log.warning(
                "`num_estimation` %s is too small to certify radius %s, even if all votes agree: it can only be "
                "refuted",
                f"{config.num_estimation:,}",
                ", ".join(f"{radius:g}" for radius in beyond),
            )
        labels = None
        if dataset.classes is not None and config.labels == DATA:
            classes = subject.oracle.spec.classes
            labels = match_labels(dataset.classes, classes, subject.class_order)
            if classes.numbers_only:  # so that an answer with fewer scores than the data have classes is refused
                for label in labels:
                    classes.number(str(label))
        elif subject.class_order is not None and not begun:
            raise UsageError(
                "`class_order` counts only where labels of the data are compared with answers: leave `class_order` out"
            )
        return cls(
            config=config.with_radii(plan.largest_radius, reported),
            plan=plan,
            images=images,
            labels=labels,
            seen=seen,
            context=context,
            changed=changed,
        )

    @property
    def clean(self) -> frozenset[Purpose]:
        """Purposes for which images are asked about without noise."""
        return frozenset({Purpose.PREDICT} if self.config.labels == ORACLE else ())

    def canaries(self, subject: Subject) -> CanaryImages:
        """The images that are asked about again and again, to notice a change of the model."""
        additive = subject.smoothing.additive
        grid = grid_for(subject.oracle, additive)
        return CanaryImages(image=subject.images.image, among=len(self.images), smoothing=additive, grid=grid)

    def replay(self, subject: Subject, kept: Account, before: VoteLog | None) -> Replay:
        """A way to draw the answers on record again, which asks nobody."""
        copies, log = copies_for(self.seen, subject.smoothing), VoteLog(kept.store, self.seen.spec)
        on_record = VoteSource(oracles={}, log=log, copies=copies, clean=self.clean)
        return Replay(
            plan=self.plan,
            by_oracle=bool(self.clean),
            images=subject.images,
            labels=self.labels,
            source=on_record,
            begin=opener(self.plan, on_record, earlier=before),
        )


def reported(out: Path) -> Sequence[float]:
    """The radii at which the run in `out` reports; none where there is no run."""
    return read_manifest(out)["settings"].get("radii") or () if (out / MANIFEST).exists() else ()


def least(config: CertifyConfig, oracle: OracleConfig, plan: AnyPlan, canaries: int) -> tuple[int, str]:
    """The smallest budget that makes sense, and the settings that add up to it."""
    votes = (
        (plan.max_estimation, "`num_selection` + `num_estimation`")
        if config.in_turn(oracle)
        else (1, "`num_selection` + 1")
    )
    parts = [(plan.num_selection + votes[0], votes[1])]
    if config.labels == ORACLE:
        parts.append((1, "1 for the label"))
    if canaries:
        parts.append((LEAST * canaries, f"{LEAST} times {canaries} for canaries"))
    return sum(number for number, _ in parts), " + ".join(what for _, what in parts)


def refuse_other_methods(plan: AnyPlan) -> None:
    """Refuse to ask by batch for a method whose draws are not chosen by a judge.

    Raises:
        UsageError: it is such a method.
    """
    if isinstance(plan, SplittingPlan | IncrementalPlan):
        raise UsageError(f"`batch` goes with `method` cohen and sequential, not with {plan.name}")
