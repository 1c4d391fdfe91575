"""Runs that a run builds on: those that made its coordinator."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from bbsmooth.reporting.numbers import count
from bbsmooth.runs.layout import FRONT
from bbsmooth.runs.reading import Run, read_run

_MOST_ANCESTORS = 20
_TRAINED = "trained:"


def coordinator_runs(run: Run) -> list[Run] | None:
    """The run that made the coordinator in front, then the one that it was started from, and so on.

    Empty without a coordinator, and for a denoiser that no run made; None where one of the runs is not at hand any
    more, or holds other weights by now.
    """
    found: list[Run] = []
    while run.manifest.get("coordinator"):
        from bbsmooth.assemble import describe_coordinator  # and torch, which a run without one does without
        from bbsmooth.assemble.fronts import made_without_queries

        own = run.path / FRONT
        path = own if own.is_dir() else Path(str(run.settings["coordinator"]))
        try:
            if describe_coordinator(path)["coordinator"] != run.manifest["coordinator"]:
                return None
            if made_without_queries(path):
                return [*found, *_pretraining(run)]
            run = read_run(path)
        except (OSError, ValueError):  # no run there, or no such weights
            return None
        if run.ledger is None or len(found) == _MOST_ANCESTORS:
            return None
        found.append(run)
    return found


def _pretraining(run: Run) -> list[Run]:
    """The run that made the denoiser in front without a query, if it is at hand."""
    from bbsmooth.assemble import describe_coordinator

    path = Path(str(run.settings["coordinator"]))
    with suppress(OSError, ValueError):
        maker = read_run(path)
        if maker.ledger is not None and describe_coordinator(path)["coordinator"] == run.manifest["coordinator"]:
            return [maker]
    return []


def seen_before(run: Run) -> bool:
    """True where the model was made on the very images of this run, so that its accuracy is none on new ones."""
    own = _images(run)
    makers = list(coordinator_runs(run) or [])
    oracle = str(run.settings.get("oracle"))
    if oracle.startswith(_TRAINED):
        with suppress(OSError, ValueError):
            makers.append(read_run(Path(oracle.removeprefix(_TRAINED))))
    return own is not None and any(_images(maker) == own for maker in makers)


def _images(run: Run) -> str | None:
    """Fingerprint of its images."""
    return None if run.data is None else run.data.get("fingerprint")


def spent_before(run: Run, key: str) -> float | None:
    """Sum of an entry of ledgers, such as `spent_total`, over the runs that made its coordinator; None if unknown."""
    ancestors = coordinator_runs(run)
    return None if ancestors is None else sum((ancestor.ledger or {})[key] for ancestor in ancestors)


def coordinator_phrase(run: Run) -> str:
    """Words for the coordinator in front, to be put behind the classifier's name; empty without one."""
    if not run.settings.get("coordinator"):
        return ""
    ancestors = coordinator_runs(run)
    if ancestors is None:
        return " behind a coordinator"
    asked = [ancestor for ancestor in ancestors if (ancestor.ledger or {})["spent_total"]]
    if not asked:
        return " behind a denoiser that was made without a query"
    queries = count(sum((ancestor.ledger or {})["spent_total"] for ancestor in asked), "query", "queries")
    own = run.manifest["oracle"]["fingerprint"]
    others = {each.manifest["oracle"]["name"] for each in asked if each.manifest["oracle"]["fingerprint"] != own}
    return f" behind a coordinator tuned with {queries} for {' and '.join(sorted(others)) if others else 'it'}"
