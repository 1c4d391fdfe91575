"""The sigma of a tuning that chose it: does it follow from what the manifest says of the pilot?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bbsmooth.runs.layout import CHOICE
from bbsmooth.runs.reading import Run


def wrong_choice(run: Run) -> Iterator[str]:
    """Problems of a chosen sigma.

    The last round of the halving compares the sigmas of which most images were asked about; that with the largest
    expected share of images right and certified is chosen, the smaller one of equals.
    """
    settings, choice = dict[str, Any](run.settings), dict[str, Any](run.manifest).get(CHOICE)
    if "sigmas" not in settings:
        return
    if choice is None:
        if run.summary is not None:
            yield f"manifest.json: {CHOICE} is missing, and sigma was to be chosen"
        return
    rows = choice["sigmas"]
    most = max(row["images"] for row in rows)
    last = [row for row in rows if row["images"] == most]
    best = max(last, key=lambda row: (row["certified"]["expected"], -row["sigma"]))["sigma"]
    asked = sum(row["images"] for row in rows) * settings["pilot_draws"]
    for what, said, found in (
        (f"{CHOICE}.sigma", choice["sigma"], best),
        ("settings.sigma", settings["sigma"], best),
        ("settings.sigmas", settings["sigmas"], [row["sigma"] for row in rows]),
        ("settings.radius", settings["radius"], choice["radius"]),
    ):
        if said != found:
            yield f"manifest.json: {what} is {said}, the pilot says {found}"
    if choice["queries"] < asked:
        yield f"manifest.json: {CHOICE}.queries is {choice['queries']}, the pilot asked {asked}"
    if run.ledger is not None and run.ledger["spent"]["select"] < choice["queries"]:
        spent = run.ledger["spent"]["select"]
        yield f"ledger.json: {spent} queries were spent on the choice of sigma, not {choice['queries']}"
    if run.summary is not None and run.summary.get(CHOICE) != choice:
        yield f"summary.json: {CHOICE} is not that of the manifest"
