"""Places of runs: local paths, or URLs that a local folder stands for meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bbsmooth.errors import UsageError


@contextmanager
def writing(out: str, *, resume: bool) -> Iterator[Path]:
    """The directory in which to work on a run, see `bbsmooth.runs.remote.staged`.

    Raises:
        UsageError: `out` names none, as an unset variable of a shell does; also as `staged`.
    """
    from bbsmooth.runs.remote import staged

    if not out.strip():
        raise UsageError("--out is empty; name the run directory")
    with staged(out, resume=resume) as folder:
        yield folder


@contextmanager
def perhaps_writing(out: str | None, *, resume: bool) -> Iterator[Path | None]:
    """The same, None where nothing is to be kept."""
    if out is None:
        if resume:
            raise UsageError("--resume goes on with a run that was kept; name its directory with --out")
        yield None
        return
    with writing(out, resume=resume) as folder:
        yield folder


@contextmanager
def reading(runs: Sequence[str]) -> Iterator[list[Path]]:
    """The directories of runs, to read in, see `bbsmooth.runs.remote.fetched`; of the same run the same one."""
    from bbsmooth.runs.remote import fetched

    with ExitStack() as stack:
        folders = {run: stack.enter_context(fetched(run)) for run in dict.fromkeys(runs)}
        yield [folders[run] for run in runs]


def found_in(folder: Path, *, as_json: bool) -> str:
    """Findings of a run, as one JSON object or for people: to be printed once it is in its place."""
    from bbsmooth.reporting.text import run_text
    from bbsmooth.runs.reading import run_json

    return json.dumps(run_json(folder)) if as_json else run_text(folder)


def need_file(run: str, out: Path | None) -> None:
    """Refuse to write a page or figure into a run that is elsewhere.

    Raises:
        UsageError: no other file is named.
    """
    if out is None and "://" in run:
        raise UsageError(f"{run} is only read; name a file to write with --out")
