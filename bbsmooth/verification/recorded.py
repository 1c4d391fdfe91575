"""Certificates against the answers on record: everything in a line is made again from the images and the votes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from torch import Tensor

from bbsmooth import data
from bbsmooth.assemble import copies_of
from bbsmooth.assemble.incremental import EARLIER_RESPONSES
from bbsmooth.assemble.labels import match_labels
from bbsmooth.certification import LabelledCase, VoteSource
from bbsmooth.certification.cases.case import ProvingCase
from bbsmooth.certification.methods.cases import opener
from bbsmooth.certification.methods.incremental import IncrementalPlan
from bbsmooth.errors import UsageError
from bbsmooth.noise import ALGORITHM, noise_called
from bbsmooth.reporting.recall import images_of
from bbsmooth.runs.certificates import Label, Record, certificate_record, public_label, radii_by_norm
from bbsmooth.runs.reading import Run
from bbsmooth.runs.reuse import RESPONSES
from bbsmooth.settings.certify import DATA, ORACLE
from bbsmooth.verification.asked import Asked
from bbsmooth.verification.certificates import located
from bbsmooth.verification.differing import differences
from bbsmooth.verification.stored import StoredAnswers
from oracles import Classes, Feedback, OracleError, OracleSpec, Purpose, StorageError, VoteLog

_TAKEN = "seconds"  # nobody can tell again how long it took


class NotAtHand(Exception):
    """What a check needs is not there."""


def wrong_votes(run: Run) -> Iterator[str]:
    """Lines that the images, the seed and the answers on record do not give.

    Raises:
        NotAtHand: images or answers are not there, which is no fault of the run.
    """
    asked = Asked.of(run)
    try:
        with _replay(run, asked) as replay:
            for record in run.certificates or []:
                yield from located(record, replay.wrong)
    except OracleError as error:
        yield f"the recorded answers cannot be read as the manifest says: {error}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Replay:
    """A run whose answers are all known.

    Attributes:
        asked: its settings.
        images: the very same.
        labels: of the images' classes as lines call them, None where they have none.
        source: of the votes on record.
        begin: opens the case of an image.
    """

    asked: Asked
    images: data.ImageSet
    labels: list[Label] | None
    source: VoteSource
    begin: Callable[[Tensor], ProvingCase]

    def wrong(self, record: Record) -> Iterator[str]:
        """What a line says otherwise than the answers on record."""
        image = self.images.image(record["index"])
        by_oracle, begun = self.asked.config.labels == ORACLE, self.begin(image)
        case = LabelledCase.by_oracle(begun, self.source) if by_oracle else LabelledCase.without(begun)
        if not case.finished:
            yield "not all answers that it needs are on record"
            return
        again = self._line(record, case, image) | {_TAKEN: record[_TAKEN]}
        said = {key: record[key] for key in again if key in record}
        different = {place.partition(".")[0] for place, _, _ in differences(said, again)}
        other = [key for key in again if key in different]
        if other:
            yield f"{', '.join(other)}: not as the answers on record have it, which give {other[0]} {again[other[0]]}"

    def _line(self, record: Record, case: LabelledCase, image: Tensor) -> Record:
        index, outcome, classes = record["index"], case.outcome(), self.source.log.spec.classes
        label = self._label(index) if case.label is None else public_label(case.label, classes)
        line = certificate_record(index, label, outcome, self.asked.plan, classes, 0.0)
        return dict(json.loads(json.dumps(line | radii_by_norm(outcome.verdict, image.numel()))))

    def _label(self, index: int) -> Label | None:
        number = self.images.label(index)
        return None if number is None or self.labels is None else self.labels[number]


@contextmanager
def _replay(run: Run, asked: Asked) -> Iterator[_Replay]:
    try:
        images = images_of(run)
    except (data.DataError, UsageError, OSError) as error:
        raise NotAtHand(f"the images are not at hand ({error})") from error
    if run.manifest["noise_algorithm"] != ALGORITHM:
        raise NotAtHand("the noise was drawn by another version of bbsmooth")
    with ExitStack() as stack:
        log = _log(run, RESPONSES, ("classifier", "fingerprint"), stack)
        classes = log.spec.classes
        clean = frozenset({Purpose.PREDICT} if asked.config.labels == ORACLE else ())
        copies = copies_of(
            noise_called(run.settings["noise"], run.settings["sigma"]),
            seed=run.settings["seed"],
            eight_bit=log.spec.eight_bit,
        )
        source = VoteSource(oracles={}, log=log, copies=copies, clean=clean)
        earlier = None
        if isinstance(asked.plan, IncrementalPlan):
            earlier = _log(run, EARLIER_RESPONSES, ("earlier", "classifier"), stack)
        known = images.classes is not None and asked.config.labels == DATA
        try:
            labels = match_labels(images.classes or (), classes, run.settings.get("class_order")) if known else None
        except UsageError as error:  # a run of before names that are numbers had to be explained
            raise NotAtHand(f"nothing says which class each label is ({error})") from error
        begin = opener(asked.plan, source, earlier=earlier)
        yield _Replay(asked=asked, images=images, labels=labels, source=source, begin=begin)


def _log(run: Run, folder: str, fingerprint: tuple[str, str], stack: ExitStack) -> VoteLog:
    """The votes in a folder; `fingerprint` says where the manifest has that of the classifier which gave them."""
    try:
        store = StoredAnswers(run.path / folder)
    except StorageError as error:
        raise NotAtHand(f"the answers are not at hand ({error})") from error
    stack.callback(store.close)
    oracle, (part, key) = run.manifest["oracle"], fingerprint
    classes = Classes(open_set=True) if oracle["classes"] == "open" else Classes(oracle["classes"])
    spec = OracleSpec(
        name=oracle["name"],
        fingerprint=run.manifest[part][key],
        classes=classes,
        image_shape=None,
        feedback=Feedback(oracle["feedback"]),
        eight_bit=run.manifest["classifier"]["eight_bit"],
    )
    return VoteLog(store, spec)
