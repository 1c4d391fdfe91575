"""The field's tab-separated certification log, written and read: idx, label, predict, radius, correct, time."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bbsmooth.errors import UsageError
from bbsmooth.runs.certificates import Record
from bbsmooth.runs.records.values import Label

_NEEDED = ("idx", "label", "predict", "radius", "correct")
_SIGMA = re.compile(r"(?:sigma|noise)[_=-]?(\d+(?:\.\d+)?)(?!\d)", re.IGNORECASE)
_NONE = -1
"""Stands for an abstention, and for an unknown label."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One image of a log.

    Attributes:
        index: of the image in the data.
        label: its true class, None where nobody knows it.
        predicted: the certified class, None for an abstention.
        radius: 0 for an abstention.
        seconds: wall time, None where the log has no times.
    """

    index: int
    label: int | None
    predicted: int | None
    radius: float
    seconds: float | None

    @property
    def correct(self) -> bool | None:
        """True if the certified class is the true one, None where nobody knows that."""
        return None if self.label is None else self.predicted == self.label


def sigma_in(name: str) -> float | None:
    """The sigma that a file's name states, as in "sigma_0.25.tsv"; None where it states none, or two."""
    found = {float(number) for number in _SIGMA.findall(name)}
    return found.pop() if len(found) == 1 else None


def read_log(path: Path) -> list[LogLine]:
    """The lines of a log.

    Raises:
        UsageError: the file cannot be read, or a line is none of a log; it is named.
    """
    try:
        rows = csv.reader(path.read_text().splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
        header = next(rows, [])
        places = _places(path, header)
        lines = [_line(path, number, row, places, len(header)) for number, row in enumerate(rows, 2) if row]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}; name a tab-separated certification log") from error
    if not lines:
        raise UsageError(f"{path} holds no line below its header")
    seen: set[int] = set()
    for line in lines:
        if line.index in seen:
            raise UsageError(f"{path} has image {line.index} twice; keep one line for each image")
        seen.add(line.index)
    return lines


def _places(path: Path, header: list[str]) -> dict[str, int]:
    missing = [name for name in _NEEDED if name not in header]
    if missing:
        raise UsageError(
            f"{path} is no certification log: its first line must name idx, label, predict, radius, correct, time, "
            f"separated by tabs, and {', '.join(missing)} is not there"
        )
    return {name: header.index(name) for name in (*_NEEDED, "time") if name in header}


def _line(path: Path, number: int, row: list[str], places: dict[str, int], width: int) -> LogLine:
    try:
        if len(row) != width:
            raise ValueError(f"it has {len(row)} columns, the first line has {width}")
        label, predicted = int(row[places["label"]]), int(row[places["predict"]])
        line = LogLine(
            index=int(row[places["idx"]]),
            label=None if label == _NONE else label,
            predicted=None if predicted == _NONE else predicted,
            radius=_radius(row[places["radius"]], abstained=predicted == _NONE),
            seconds=_seconds(row[places["time"]]) if "time" in places else None,
        )
        if int(row[places["correct"]]) != int(bool(line.correct)):
            raise ValueError(
                f"correct is {row[places['correct']]}, label {label} and predict {predicted} say otherwise"
            )
    except ValueError as error:
        raise UsageError(f"{path}, line {number}, is not of a certification log: {error}") from error
    return line


def _radius(text: str, *, abstained: bool) -> float:
    radius = float(text)
    if not 0 <= radius < math.inf or (abstained and radius):
        raise ValueError(f"a radius must be a number of at least 0, and 0 for an abstention, got {text}")
    return radius


def _seconds(text: str) -> float:
    """Seconds, also written as hours, minutes and seconds."""
    seconds = 0.0
    for part in text.split(":"):
        seconds = 60 * seconds + float(part)
    return seconds


def classic_log(records: Sequence[Record]) -> str:
    """The field's tab-separated log: idx, label, predict, radius, correct, time.

    -1 stands for an abstention and for an unknown label. Names of an open set are numbered alphabetically. Radii have
    all their digits, since rounding to a few would make some larger than what is proven.
    """
    found = {record[key] for record in records for key in ("label", "selected")} - {None}
    numbers = {name: number for number, name in enumerate(sorted(found))} if _named(found) else {n: n for n in found}
    lines = ["idx\tlabel\tpredict\tradius\tcorrect\ttime"]
    for record in records:
        label, predicted = numbers.get(record["label"], -1), numbers.get(record["predicted"], -1)
        radius, correct = record["radius"] or 0.0, int(bool(record["correct"]))
        lines.append(f"{record['index']}\t{label}\t{predicted}\t{radius}\t{correct}\t{record['seconds']:.3f}")
    return "\n".join(lines) + "\n"


def _named(labels: set[Label]) -> bool:
    return any(isinstance(label, str) for label in labels)
