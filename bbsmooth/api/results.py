"""Results of runs as objects: certificates, predictions, attacks, trained models, forecasts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

from bbsmooth.api.run import RunResult, html_table, percent
from bbsmooth.certification import Abstention, Certificate, Share, average_certified_radius, certified_accuracy
from bbsmooth.certification.verdict import Evidence, Reason
from bbsmooth.errors import UsageError
from bbsmooth.reporting.groups import by_group
from bbsmooth.reporting.numbers import count
from bbsmooth.reporting.text import run_log
from bbsmooth.runs.certificates import CONFIDENCE, Record
from bbsmooth.runs.issuing import read_issued
from bbsmooth.verification.outcomes import outcome_of

Verdict = Certificate | Abstention


class Certificates(RunResult, Sequence[Verdict]):
    """The certificates and abstentions of a run: one an image, in order.

    After an early end the images that were not finished are abstentions of reason `UNFINISHED`; `rows` and `to_frame`
    have the finished ones, each with its `index`.
    """

    command = "certify"

    @property
    def _records(self) -> list[Record]:
        return list(self._read.certificates or [])

    def __len__(self) -> int:
        """Number of images that the run is about."""
        if "images" in self.summary:
            return int(self.summary["images"])
        available = int(self._read.manifest["data"]["images"])
        return min(available, self.settings["limit"] or available)

    @property
    def unfinished(self) -> tuple[int, ...]:
        """Indices of the images without a verdict so far."""
        return tuple(sorted(set(range(len(self))) - {record["index"] for record in self._records}))

    @overload
    def __getitem__(self, index: int) -> Verdict: ...
    @overload
    def __getitem__(self, index: slice) -> list[Verdict]: ...
    def __getitem__(self, index: int | slice) -> Verdict | list[Verdict]:
        """One verdict, or several."""
        verdicts = list(self)
        return verdicts[index]

    def __iter__(self) -> Iterator[Verdict]:
        """All verdicts."""
        finished = {record["index"]: record for record in self._records}
        for index in range(len(self)):
            yield self._verdict(finished[index]) if index in finished else self._unfinished()

    def __eq__(self, other: object) -> bool:
        """True if both say the same of the same images, however long it took."""
        if not isinstance(other, Certificates):
            return NotImplemented
        return _timeless(self._records) == _timeless(other._records)

    __hash__ = None  # type: ignore[assignment]

    @property
    def complete(self) -> bool:
        """True if every image has its certificate or abstention."""
        return not self.unfinished

    def certified_accuracy(self, radius: float) -> Share:
        """The share of all images whose class is right and proven to hold within `radius`, with its 95 % interval.

        The interval is for the population that the images were drawn from. Images that are not finished are not in the
        share; the interval's lower end counts all of them as failures and its upper end as successes, so that it
        covers whatever they would have been.

        Raises:
            UsageError: there are no labels or no images, or a sequential run was not asked about this radius.
        """
        asked = self.settings["radii"]
        if self.settings["method"] == "sequential" and radius not in asked:
            raise UsageError(f"the run decided the radii {', '.join(map(str, asked))} alone, not {radius}")
        found = self._correct_radii()
        low = certified_accuracy(found, radius, confidence=CONFIDENCE)
        unfinished = set(self.unfinished)
        best = [math.inf if index in unfinished else own for index, own in enumerate(found)]
        return replace(low, high=certified_accuracy(best, radius, confidence=CONFIDENCE).high)

    @property
    def acr(self) -> float:
        """The average certified radius: the mean, 0 where the class is wrong or nothing is proven (so far).

        Raises:
            UsageError: there are no labels or no images.
        """
        return average_certified_radius(self._correct_radii())

    def rows(self) -> list[Record]:
        """The lines of `certificates.jsonl`."""
        return self._records

    def to_tsv(self) -> str:
        """The log of the field: idx, label, predict, radius, correct, time."""
        return run_log(self.run)

    def report(self, path: Path | str) -> Path:
        """Write a report, in the form that the file's name ends on (.html, .md, .tex, .tsv, .png, ...); the file."""
        from bbsmooth.api.reports import report

        return report(self, path)

    def overview(self) -> dict[str, str]:
        """The run in a few words."""
        records = self._records
        found = super().overview() | {
            "images": f"{len(records)} of {len(self)}",
            "abstentions": str(sum(record["abstained"] for record in records)),
        }
        for row in self.summary.get("certified_accuracy") or ():
            share = self.certified_accuracy(row["radius"])
            found[f"certified accuracy at {row['radius']:g}"] = (
                f"{percent(share.value)} ({percent(share.low)} to {percent(share.high)})"
            )
        return found

    def _verdict(self, record: Record) -> Verdict:
        """The verdict of a line, with classes as the line calls them: numbers, in an open set names."""
        verdict = outcome_of(record).verdict
        number: Any = str if self._read.manifest["oracle"]["classes"] == "open" else int
        counts = {number(name): votes for name, votes in record["counts"].items()}
        evidence = replace(verdict.evidence, selected=record["selected"], counts=counts)
        if isinstance(verdict, Abstention):
            return replace(verdict, evidence=evidence)
        return replace(verdict, label=record["predicted"], evidence=evidence)

    def _unfinished(self) -> Abstention:
        alpha = float(self.settings["alpha"])
        nothing = Evidence(
            selected=None,
            counts={},
            p_lower=0.0,
            alpha=alpha,
            num_selection=0,
            num_estimation=0,
            total_variation=0.0,
        )
        return Abstention(evidence=nothing, reason=Reason.UNFINISHED)

    def by_group(self, groups: str) -> list[Record]:
        """Certified accuracy of each group at each radius, with intervals that hold for all groups together.

        One record each: `group`, `images`, `radius`, `value`, `low`, `high` (None while images are missing).

        Args:
            groups: "class", or `FILE.csv:COLUMN` with a row for each image of the data set.

        Raises:
            UsageError: there are no labels, or fewer rows than images.
            DataError: there is no such file or column.
        """
        return by_group(read_issued(self.run), groups)

    def _correct_radii(self) -> list[float | None]:
        """The radius of every image, None where the class is wrong, nothing is proven, or the image is not finished."""
        records = self._records
        if not records or any(record["label"] is None for record in records):
            raise UsageError(f"{self.run} has no {'labels' if records else 'certificates yet'}, so no accuracy")
        right = {record["index"]: record["radius"] for record in records if record["correct"]}
        return [right.get(index) for index in range(len(self))]


def _timeless(records: list[Record]) -> list[Record]:
    return [{key: value for key, value in record.items() if key != "seconds"} for record in records]


@dataclass(frozen=True, slots=True)
class SmoothedClass:
    """The smoothed class of one image.

    Attributes:
        label: as the oracle numbers it, in an open set its name; None for an abstention.
        name: of the class.
        counts: class to votes.
        p_value: of the test that decides.
        reason: why there is none.
    """

    label: int | str | None
    name: str | None
    counts: dict[str, int]
    p_value: float
    reason: str | None

    @property
    def abstained(self) -> bool:
        """True if no class was shown to be the smoothed one."""
        return self.label is None


class Predictions(Sequence[SmoothedClass]):
    """The smoothed classes of images, in order."""

    def __init__(self, records: Sequence[Record], run: Path | None = None) -> None:
        """Keep what was predicted."""
        self._records = list(records)
        self.run = run

    def __len__(self) -> int:
        """Number of images."""
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> SmoothedClass: ...
    @overload
    def __getitem__(self, index: slice) -> list[SmoothedClass]: ...
    def __getitem__(self, index: int | slice) -> SmoothedClass | list[SmoothedClass]:
        """One prediction, or several."""
        if isinstance(index, slice):
            return [_predicted(record) for record in self._records[index]]
        return _predicted(self._records[index])

    def rows(self) -> list[Record]:
        """One record an image."""
        return self._records

    to_frame = RunResult.to_frame

    def __repr__(self) -> str:
        """Return the number of images and of abstentions."""
        return f"Predictions({count(len(self), 'image')}, {count(sum(each.abstained for each in self), 'abstention')})"

    def _repr_html_(self) -> str:
        """A table, for notebooks."""
        rows = [[str(number), str(each.name), f"{each.p_value:.2g}"] for number, each in enumerate(self)]
        return html_table(rows, ["image", "class", "p"])


def _predicted(record: Record) -> SmoothedClass:
    return SmoothedClass(
        record["predicted"], record["name"], dict(record["counts"]), record["p_value"], record["reason"]
    )


class Attacks(RunResult):
    """Findings of an attacker against the certificates of a run."""

    command = "attack"

    @property
    def accuracy(self) -> list[Record]:
        """At each radius the empirical accuracy beside the certified one, with their intervals."""
        return list(self.summary.get("accuracy", ()))

    @property
    def contradictions(self) -> list[int]:
        """Images that were turned inside their certified radius: an alarm, if there is one."""
        return list(self.summary.get("contradictions", ()))

    def rows(self) -> list[Record]:
        """One record a radius."""
        return [
            {"radius": row["radius"]}
            | {f"{kind}_{key}": row[kind][key] for kind in ("empirical", "certified") for key in row[kind]}
            for row in self.accuracy
        ]

    def overview(self) -> dict[str, str]:
        """The run in a few words."""
        found = super().overview() | {"contradictions": str(len(self.contradictions))}
        for row in self.accuracy:
            values = f"{percent(row['empirical']['value'])} empirical, {percent(row['certified']['value'])} certified"
            found[f"accuracy at {row['radius']:g}"] = values
        return found


class Trained(RunResult):
    """A model that was trained with gradients; `oracle` asks it as any other."""

    command = "train"

    @property
    def name(self) -> str:
        """The name of the model, for `bbsmooth.oracle`."""
        return f"trained:{self.run}"

    @property
    def clean_accuracy(self) -> float:
        """Share of the images it was judged on that it gets right."""
        return float(self.summary["clean_accuracy"])

    @property
    def noisy_accuracy(self) -> float:
        """The same under noise."""
        return float(self.summary["noisy_accuracy"])

    def rows(self) -> list[Record]:
        """One record an epoch."""
        return list(self._read.history or [])


class Forecast:
    """Forecasts, from a pilot, of what certifications would cost and prove.

    Attributes:
        run: directory whose answers `certify(reuse=...)` takes over, None where nothing was kept.
        summary: all of it, as `summary.json` has it.
    """

    def __init__(self, summary: Record, run: Path | None = None) -> None:
        """Keep what was forecast."""
        self.summary = summary
        self.run = run

    @property
    def ways(self) -> list[Record]:
        """One record for each way of certifying: method, radii, queries, seconds, price, certified share."""
        return list(self.summary["expected"])

    @property
    def sigma(self) -> float | None:
        """The sigma that was chosen, None where one was given."""
        return self.summary.get("sigma")

    @property
    def sigmas(self) -> list[Record]:
        """One record for each sigma to choose from: share right and certified, queries, seconds, price."""
        return list(self.summary.get("sigmas", ()))

    @property
    def acceptance(self) -> Record | None:
        """Forecast of the acceptance test: queries, seconds, price, images and answers; None where none was asked."""
        return self.summary.get("acceptance")

    def rows(self) -> list[Record]:
        """One record for each way and radius, with values and interval ends in columns of their own."""
        found = []
        for way in self.ways:
            for certified in way["certified"]:
                row: dict[str, Any] = {"method": way["method"], "radius": certified["radius"]}
                for key in ("queries", "seconds", "price"):
                    parts = way.get(key) or {}
                    row |= {f"{key}_{part}": value for part, value in parts.items()}
                found.append(row | {f"certified_{part}": certified[part] for part in certified if part != "radius"})
        return found

    to_frame = RunResult.to_frame

    def __repr__(self) -> str:
        """Return the number of images and of ways that were forecast for them."""
        return f"Forecast({count(self.summary['images'], 'image')}, {count(len(self.ways), 'way')})"

    def _repr_html_(self) -> str:
        """A table, for notebooks."""
        rows = self.rows()
        head = list(dict.fromkeys(key for row in rows for key in row))
        cells = [[_shown(row.get(key)) for key in head] for row in rows]
        return html_table(cells, [key.replace("_", " ") for key in head])


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:,.4g}" if isinstance(value, float) else str(value)
