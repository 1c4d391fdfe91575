"""Runs read back: reports, comparisons, verification, and any run as its result."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from bbsmooth.api.accept import Acceptance
from bbsmooth.api.denoiser import Tuned
from bbsmooth.api.results import Attacks, Certificates, Forecast, Predictions, Trained
from bbsmooth.api.run import RunResult, html_table
from bbsmooth.data import images_of
from bbsmooth.errors import UsageError
from bbsmooth.reporting import comparison
from bbsmooth.reporting.compare import compare as write_comparison
from bbsmooth.reporting.recall import at_hand
from bbsmooth.reporting.report import report as write_report
from bbsmooth.reporting.terminal import to_text
from bbsmooth.runs.files import read_key_file
from bbsmooth.runs.issuing import read_issued
from bbsmooth.runs.reading import read_run
from bbsmooth.verification.bundle import bundle as pack
from bbsmooth.verification.bundle import unbundled
from bbsmooth.verification.run import Verification
from bbsmooth.verification.run import verify as check
from bbsmooth.verification.statement import attest as sign

Result = Acceptance | Certificates | Tuned | Trained | Attacks | Predictions | Forecast


def load(run: Path | str) -> Result:
    """Load a run directory, complete or not, as the object that the call which made it returned.

    Raises:
        UsageError: `run` is no run directory, or one whose files say nothing yet.
    """
    found = read_run(Path(run))
    results: Sequence[type[RunResult]] = (Acceptance, Certificates, Tuned, Trained, Attacks)
    for kind in results:
        if found.command == kind.command:
            return kind.read(run)  # type: ignore[return-value]  # each is one of `Result`
    if found.command == "predict" and found.predictions is not None:
        return Predictions(found.predictions, found.path)
    if found.command == "plan" and found.summary is not None:
        return Forecast(found.summary, found.path)
    raise UsageError(f"{run} is a run of `{found.command}`, which left nothing to load")


def report(
    run: RunResult | Path | str,
    path: Path | str,
    *,
    format: str | None = None,
    pictured: int = 500,
    groups: str | None = None,
) -> Path:
    """Write the report of a run, and return the file.

    Args:
        run: a result, or a run directory. Images that were handed over in memory are pictured from a result alone.
        path: the file to write.
        format: "html", "md", "tex", "tsv", "json", "text", "png" or "svg"; None for what the file's name ends on.
        pictured: most images of a page that get pictures.
        groups: "class" or `FILE.csv:COLUMN`, by which certified accuracy is split; None for not at all.

    Raises:
        UsageError: an unknown form, or a run that has not what it shows.
        OSError: the file cannot be written.
    """
    folder, images = (run.run, run._images) if isinstance(run, RunResult) else (Path(run), None)
    with at_hand(images):
        write_report(folder, format=format, out=Path(path), pictured=pictured, groups=groups)
    return Path(path)


def verify(
    run: RunResult | Path | str,
    *,
    images: Any = None,
    labels: Any = None,
    authority: Path | str | None = None,
    key: Path | str | None = None,
) -> Verification:
    """Check, without a query, that what a run says follows from what it recorded.

    Args:
        run: a result, a run directory, or an archive of one.
        images: the images, where they were handed over in memory: certificates are then made again from them, the
            seed and the answers on record. A result of this process has them.
        labels: of the images, as they were handed over.
        authority: file with the root certificates (PEM) of the authority that stamped the run; None where nobody knows.
        key: file with the public key (PEM) of who attested the run; None where nobody knows.

    Raises:
        UsageError: `run` is no run directory and no archive of one.
    """
    folder, held = (run.run, run._images) if isinstance(run, RunResult) else (Path(run), None)
    given = held if images is None else images_of(images, labels)
    with unbundled(folder) as place, at_hand(given) if given is not None else nullcontext():
        return check(place, authority=_contents(authority), key=_contents(key))


def attest(run: RunResult | Path | str, *, key: Path | str, images: Any = None, labels: Any = None) -> Path:
    """Sign what `verify` finds, the summary and digests of all files: an in-toto statement in the run directory.

    Args:
        run: a result, or a run directory.
        key: file with a private Ed25519 key (PEM).
        images: as for `verify`.
        labels: as for `verify`.

    Returns:
        The file, `attestation.dsse.json`.

    Raises:
        UsageError: the run has not ended, or the key is none.
    """
    folder = run.run if isinstance(run, RunResult) else Path(run)
    return sign(folder, _contents(key) or b"", verify(run, images=images, labels=labels))


def bundle(run: RunResult | Path | str, path: Path | str, *, images: bool) -> Path:
    """Write a run into one archive that `verify` reads on another machine, and return the archive.

    Args:
        run: a result, or a run directory.
        path: the archive.
        images: whether the images go with it; without them certificates cannot be made again from it.

    Raises:
        UsageError: the run is in use, or its images are not at hand.
    """
    folder, held = (run.run, run._images) if isinstance(run, RunResult) else (Path(run), None)
    with at_hand(held):
        return pack(folder, Path(path), images=images)


def _contents(file: Path | str | None) -> bytes | None:
    return read_key_file(None if file is None else Path(file))


class Comparison:
    """Several runs side by side: tables with intervals and paired differences."""

    def __init__(self, paths: Sequence[Path], *, groups: str | None = None) -> None:
        """Read the runs."""
        self.runs = tuple(paths)
        self._view = comparison.ComparisonView(groups=groups)
        document = comparison.document([read_issued(path) for path in paths], self._view)
        self._tables = [table for section in document.sections for table in section.tables]

    def rows(self) -> list[dict[str, Any]]:
        """One record a run: the first table."""
        table = self._tables[0]
        return [
            dict(zip((column.name for column in table.columns), (cell.value for cell in row), strict=True))
            for row in table.rows
        ]

    to_frame = RunResult.to_frame

    def report(self, path: Path | str) -> Path:
        """Write the comparison in the form that the file's name ends on (.html, .md, .tex, .tsv, .png); the file."""
        write_comparison(self.runs, format=None, out=Path(path), choice=self._view)
        return Path(path)

    def __repr__(self) -> str:
        """Return the number of runs."""
        return f"Comparison({len(self.runs)} runs)"

    def __str__(self) -> str:
        """The tables as text."""
        return to_text(self._tables)

    def _repr_html_(self) -> str:
        """The tables, for notebooks."""
        return "".join(
            html_table([[cell.text for cell in row] for row in table.rows], [column.title for column in table.columns])
            for table in self._tables
        )


def compare(*runs: RunResult | Path | str, groups: str | None = None) -> Comparison:
    """Several runs side by side.

    Args:
        runs: results, or run directories.
        groups: "class", or `FILE.csv:COLUMN` with a row for each image of the data set: certified accuracy of each run
            by group as well, with intervals that hold for all groups of a run together.

    Raises:
        UsageError: what cannot be compared; there are no labels, or fewer rows than images.
        DataError: there is no such file or column.
    """
    return Comparison([run.run if isinstance(run, RunResult) else Path(run) for run in runs], groups=groups)
