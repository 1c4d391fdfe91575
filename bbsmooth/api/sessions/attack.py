"""A run that attacks: what an attacker finds against the certificates of another run."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from bbsmooth import data
from bbsmooth.api.sessions.committing import begun, fixed_images, opened, read_images
from bbsmooth.assemble import Subject, account, vote_source
from bbsmooth.attacks.attack import AdversarialExample, Attack, nearest
from bbsmooth.attacks.empirical import AttackResult, empirical_accuracy
from bbsmooth.attacks.gradient import GradientAttack
from bbsmooth.attacks.queries import HopSkipJump
from bbsmooth.attacks.scores import ScoreAttack
from bbsmooth.attacks.target import ORDER, SmoothedTarget, distance
from bbsmooth.certification import Reason, certified_accuracy
from bbsmooth.data.arrays import ARCHIVE_ERRORS
from bbsmooth.errors import UsageError
from bbsmooth.noise.distribution import Norm
from bbsmooth.progress.meter import meter
from bbsmooth.runs.certificates import CONFIDENCE, Record, public_label, refuse_twice, write_summary
from bbsmooth.runs.decoding import Damaged, read_lines
from bbsmooth.runs.directory import complete_manifest
from bbsmooth.runs.issuing import read_issued
from bbsmooth.runs.layout import ATTACKS
from bbsmooth.runs.lines import LineFile
from bbsmooth.runs.records.lines import AttackLine
from bbsmooth.runs.usage import usage_summary
from bbsmooth.settings.attack import AttackConfig
from bbsmooth.settings.common import LIMITS, SPEED, settings
from bbsmooth.settings.stamp import NO_STAMP, StampConfig
from bbsmooth.verification.differing import differences
from oracles import Classes, Ledger, Purpose

EXAMPLES = "examples"
CHANGEABLE = SPEED | {*LIMITS, "price", "prices", "limit", "certificates"}
"""Settings that a resumed run may change."""

_log = logging.getLogger("bbsmooth")
C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Certified:
    """A run of `bbsmooth certify`, as it was asked for.

    Attributes:
        path: the directory.
        manifest: what `manifest.json` says.
        records: its certificates, abstentions in place of those that it does not issue.
    """

    path: Path
    manifest: Mapping[str, Any]
    records: list[Record]

    @classmethod
    def read(cls, path: Path) -> Certified:
        """Read a run.

        Raises:
            UsageError: it is none, or its certificates are not about L2.
        """
        manifest = complete_manifest(path)
        if manifest["command"] != "certify":
            raise UsageError(f"{path} is a run of `bbsmooth {manifest['command']}`; attack one of `bbsmooth certify`")
        records = read_issued(path).certificates or []
        if any(record["reason"] == Reason.FALSE_DISCOVERY for record in records):
            _log.warning("%s issues no certificates: its images are attacked, and no radius is claimed for them", path)
        if any(record["norm"] != Norm.L2.value for record in records):
            raise UsageError(f"the certificates of {path} are not about the L2 norm, in which attacks are measured")
        return cls(path, manifest, records)

    def config(self, kind: type[C], **changed: Any) -> C:
        """The settings that belong to `kind`, some of them changed."""
        names = {item.name for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
        values = {key: value for key, value in (dict(self.manifest["settings"]) | changed).items() if key in names}
        paths = {"coordinator", "data_root"} & values.keys()
        return kind(**values | {key: Path(values[key]) for key in paths if values[key] is not None})


def attack(
    target: Certified,
    out: Path,
    subject: Subject,
    *,
    config: AttackConfig,
    resume: bool,
    stamp: StampConfig = NO_STAMP,
) -> Record:
    """Attack the images of a run, and return what `summary.json` says.

    Args:
        target: the run whose certificates are attacked.
        out: the run directory.
        subject: oracle, noise and images of that run; the budget, and how fast to ask.
        config: how to attack.
        resume: go on with the run in `out`.
        stamp: who stamps what the run fixes before its first query, and whether the seed follows.

    Raises:
        UsageError: settings that cannot work; nothing was spent.
        BudgetExhausted: the budget ended before the images did; all results so far are on disk.
        OracleError: see there.
    """
    subject = subject.drawing_as(target.path)  # the attack is on the classifier that was certified
    base, asked, dataset = subject.oracle, subject.asking, subject.images
    chosen, records = _attack(config, subject), target.records[: config.limit]
    run, fixed = opened(
        out,
        "attack",
        settings(asked, subject.smoothing, config) | {"certificates": str(target.path)},
        subject.context,
        changeable=CHANGEABLE,
        images=fixed_images(read_images(dataset, [record["index"] for record in records])),
        spec=base.spec,
        stamp=stamp,
        resume=resume,
    )
    config = dataclasses.replace(config, seed=fixed.seed)
    smoothing = fixed.smoothing(subject.smoothing)
    with begun(run, fixed), account(run, asked) as kept:
        subject.front.keep(out)
        source = vote_source(base, subject.front, smoothing, kept, (Purpose.ATTACK,))
        asking = {purpose: source.oracles[Purpose.ATTACK] for purpose in (Purpose.ATTACK, Purpose.PREDICT)}
        source = dataclasses.replace(source, oracles=asking)  # the judge's draws are others, its account the same
        victim = SmoothedTarget(
            source=source,
            classes=base.spec.classes,
            num_search=config.num_search,
            num_judge=config.num_judge,
            alpha=config.alpha,
            batch_size=asked.batch_size,
        )
        session = _Session(out, records, dataset, victim, chosen, config, kept.ledger)
        session.refuse_damage({record["index"]: record for record in target.records})
        try:
            session.run()
        finally:
            summary = session.summarize()
        return summary


@dataclass(frozen=True, slots=True)
class _Session:
    """One process's part of a run."""

    folder: Path
    records: list[Record]
    dataset: data.ImageSet
    target: SmoothedTarget
    attack: Attack
    config: AttackConfig
    ledger: Ledger

    def refuse_damage(self, records: Mapping[int, Record]) -> None:
        """Refuse lines that neither certificates nor examples and answers on record give. No query is spent.

        Raises:
            Damaged: the first thing that does not fit.
        """
        for line in _lines(self.folder):
            index = line["index"]
            if index not in records:
                wanted = None
            elif line["found"] is None:
                wanted = self._line(records[index], None)
            else:
                wanted = self._line(records[index], self._kept(records[index]))
            if next(differences(line, wanted), None):
                raise Damaged(
                    f"{self.folder / ATTACKS}: image {index} is not as certificates, examples and answers on record "
                    "have it; restore it from a copy, or remove the line: its answers are on record"
                )

    def _kept(self, record: Record) -> AdversarialExample | None:
        """The example that was found for an image, None where there is none that the record confirms."""
        path = self.folder / EXAMPLES / f"{record['index']}.npz"
        try:
            pixels = np.load(BytesIO(path.read_bytes()))["x"][0]
            example = torch.from_numpy(pixels).permute(2, 0, 1)
            found = self.target.judged(example)
            image = self.dataset.image(record["index"])
            return None if found is None else AdversarialExample(example, distance(example, image, ORDER), found)
        except ARCHIVE_ERRORS:
            return None

    def run(self) -> None:
        """Attack what is not attacked yet."""
        lines = _lines(self.folder)
        done = {line["index"] for line in lines}  # not the first ones, if the run that is attacked went on meanwhile
        turned = sum(line["found"] is not None for line in lines)
        left = [record for record in self.records if record["index"] not in done]
        with LineFile(self.folder / ATTACKS) as file, meter("attack", len(left), "images") as bar:
            for record in left:
                line = self._attacked(record)
                file.append(line)
                turned += line["found"] is not None
                bar.advance(1, f"{turned} turned")

    def summarize(self) -> Record:
        """Write down what all attacks so far say together."""
        lines = _lines(self.folder)
        images = [
            AttackResult(index=line["index"], correct=line["correct"], radius=line["radius"], found=line["found"])
            for line in lines
        ]
        proven = [image.radius if image.correct is not False else None for image in images]
        rows = []
        for radius in self.config.radii if images else ():
            empirical = empirical_accuracy(images, radius, confidence=CONFIDENCE)
            certified = certified_accuracy(proven, radius, confidence=CONFIDENCE)
            rows.append(
                {
                    "radius": radius,
                    "empirical": dataclasses.asdict(empirical),
                    "certified": dataclasses.asdict(certified),
                }
            )
        summary = {
            "images": len(images),
            "complete": len(images) == len(self.records),
            "method": self.attack.name,
            "confidence": CONFIDENCE,
            "accuracy": rows,
            "contradictions": [image.index for image in images if image.contradiction],
            **usage_summary(self.ledger.as_json()),
        }
        write_summary(self.folder, summary)
        return summary

    def _attacked(self, record: Record) -> Record:
        """One line of `attacks.jsonl`."""
        image, selected, found = self.dataset.image(record["index"]), record["selected"], None
        if selected is not None:
            label = _number(selected, self.target.classes)
            found = nearest(self.attack, self.target, image, label, seed=self.config.seed)
        if found is not None:
            self._keep(record["index"], found)
        return self._line(record, found)

    def _line(self, record: Record, found: AdversarialExample | None) -> Record:
        return {
            "index": record["index"],
            "label": record["label"],
            "selected": record["selected"],
            "correct": _is_right(record),
            "radius": record["radius"],
            "found": None if found is None else found.norm,
            "turned_into": None
            if found is None or found.prediction.label is None
            else public_label(found.prediction.label, self.target.classes),
            "p_value": None if found is None else found.prediction.p_value,
            "seed": self.config.seed,
        }

    def _keep(self, index: int, found: AdversarialExample) -> None:
        (self.folder / EXAMPLES).mkdir(exist_ok=True)
        np.savez_compressed(self.folder / EXAMPLES / f"{index}.npz", x=found.image.permute(1, 2, 0).numpy()[None])


def _attack(config: AttackConfig, subject: Subject) -> Attack:
    smoothing = subject.smoothing
    if config.method == "hopskipjump":
        return HopSkipJump(steps=config.steps, evaluations=config.draws)
    if config.method == "nes":
        return ScoreAttack(sigma=smoothing.sigma, radii=config.radii, steps=config.steps, draws=config.draws)
    from bbsmooth.whitebox.gradients import differentiable  # and timm, which the other attacks do without

    model = differentiable(subject.asking.oracle, subject.front.parts)
    return GradientAttack(
        model=model, noise=smoothing.distribution, radii=config.radii, steps=config.steps, draws=config.draws
    )


def _is_right(record: Record) -> bool | None:
    """True if the smoothed answer is the label, None without one; what the oracle refused has none that could be."""
    if record["selected"] is None:
        return False
    return None if record["label"] is None else record["selected"] == record["label"]


def _number(label: int | str, classes: Classes) -> int:
    return classes.number(label) if isinstance(label, str) else label


def _lines(folder: Path) -> list[Record]:
    path = folder / ATTACKS
    lines = list(map(dict, read_lines(path, AttackLine, "the result of an attack"))) if path.exists() else []
    refuse_twice(path, lines)
    return lines
