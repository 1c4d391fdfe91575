"""A line of `certificates.jsonl` made again, from the image and the answers on record."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bbsmooth import data
from bbsmooth.certification import LabelledCase, VoteSource
from bbsmooth.certification.cases.case import ProvingCase
from bbsmooth.certification.methods.cases import AnyPlan
from bbsmooth.runs.certificates import Record, certificate_record, public_label, radii_by_norm
from bbsmooth.runs.records.values import Label
from bbsmooth.verification.differing import differences

if TYPE_CHECKING:
    from torch import Tensor

_TAKEN = "seconds"  # nobody can tell again how long it took


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A certification whose answers are all known.

    Attributes:
        plan: the settings of one image.
        by_oracle: whether the oracle labels the images.
        images: the very same.
        labels: of the images' classes as lines call them, None where they have none.
        source: of the votes on record; no oracle is asked.
        begin: opens the case of an image.
    """

    plan: AnyPlan
    by_oracle: bool
    images: data.ImageSet
    labels: list[Label] | None
    source: VoteSource
    begin: Callable[[Tensor], ProvingCase]

    def wrong(self, record: Record) -> Iterator[str]:
        """Problems of a line: all that it says otherwise than the answers on record."""
        image = self.images.image(record["index"])
        begun = self.begin(image)
        case = LabelledCase.by_oracle(begun, self.source) if self.by_oracle else LabelledCase.without(begun)
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
        line = certificate_record(index, label, outcome, self.plan, classes, 0.0)
        return dict(json.loads(json.dumps(line | radii_by_norm(outcome.verdict, image.numel()))))

    def _label(self, index: int) -> Label | None:
        number = self.images.label(index)
        return None if number is None or self.labels is None else self.labels[number]
