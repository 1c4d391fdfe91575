"""An acceptance test in words, and its claims as a table."""

from __future__ import annotations

from typing import Any

from bbsmooth.noise import DISTRIBUTIONS
from bbsmooth.reporting.model import Cell, Column, Table
from bbsmooth.reporting.numbers import count
from bbsmooth.runs.certificates import Record
from bbsmooth.runs.reading import Run
from bbsmooth.settings.accept import SOURCE

_NORMS = {"l1": "L1", "l2": "L2", "linf": "L-infinity"}
_MOST_GROUPS = 5  # that a sentence names


def answer_sentence(settings: dict[str, Any], summary: Record) -> str:
    """Return the answer in one sentence, with its risk."""
    claims = summary["claims"]
    where = _where(settings, claims)
    share = f"{100 * settings['at_least']:g} %"
    used = f"by {count(summary['images'], 'image')} and {count(summary['queries'], 'vote')}"
    if summary["answer"] == "shown":
        return f"Shown, {used}: at least {share} of {where}; the risk that this is false is at most {_risk(claims)}."
    if summary["answer"] == "refuted":
        where = _where(settings, [claim for claim in claims if claim["answer"] == "refuted"])
        risk = _risk([claim for claim in claims if claim["answer"] == "refuted"])
        return (
            f"Refuted, {used}: fewer than {share} of {where}, as far as this noise can certify it; the risk that this "
            f"is false is at most {risk}."
        )
    end = "with the images that there are" if summary["answered"] else "when the run ended"
    return f"Not shown, {used}: {end} nothing was established about whether at least {share} of {where}."


def _risk(claims: list[Record]) -> str:
    return f"{100 * max(claim['risk'] for claim in claims):g} %"


def _where(settings: dict[str, Any], claims: list[Record]) -> str:
    """Subject of the claims: "the 1,000 images are right and robust within L2 radius 0.5"."""
    norm = _NORMS[DISTRIBUTIONS[settings["noise"]](settings["sigma"]).norm.value]
    radii = sorted({claim["radius"] for claim in claims})
    groups = list(dict.fromkeys(claim["group"] for claim in claims))
    images = sum(claim["population"] for claim in claims if claim["radius"] == radii[0])
    source = settings["population"] == SOURCE
    if groups == [""]:
        what = f"the images of which these {images:,} are a random sample" if source else f"the {images:,} images"
    else:
        named = ", ".join(groups[:_MOST_GROUPS]) + (", ..." if len(groups) > _MOST_GROUPS else "")
        whole = f"of which these {images:,} are random samples" if source else f"{images:,} in all"
        what = f"the images in each of {count(len(groups), 'group')} ({named}), {whole},"
    return f"{what} are right and robust within {norm} radius {' and '.join(f'{radius:g}' for radius in radii)}"


def claims_table(summary: Record) -> Table:
    """Table of the claims: one row for each group and radius."""
    grouped = any(claim["group"] for claim in summary["claims"])
    head = (Column("group", "group", numeric=False),) if grouped else ()
    numbers = ("images", "certified", "refuted", "undecided")
    columns = (
        *head,
        Column("radius", "radius"),
        Column("answer", "answer", numeric=False),
        Column("risk", "risk"),
        *(Column(name, name) for name in numbers),
    )
    rows = []
    for claim in summary["claims"]:
        risk = claim["risk"]
        rows.append(
            (
                *((Cell(claim["group"], claim["group"]),) if grouped else ()),
                Cell(f"{claim['radius']:g}", claim["radius"]),
                Cell(claim["answer"], claim["answer"]),
                Cell("-" if risk is None else f"{100 * risk:g} %", risk),
                *(Cell(f"{claim[name]:,}", claim[name]) for name in numbers),
            )
        )
    return Table("claims", "Answers, and the images that they rest on", columns, tuple(rows))


def accepted(run: Run) -> list[str]:
    """Sentences of the overview of a run."""
    settings, data = run.settings, run.manifest["data"]
    said = [
        f"The classifier {run.manifest['oracle']['name']} was only asked for its answers about images of "
        f"{data['name']} ({data['split']} split), in a random order, under {settings['noise']} noise of standard "
        f"deviation {settings['sigma']:g} (white being 1); up to {count(settings['num_estimation'], 'answer')} "
        "an image decided whether its own label is certified.",
    ]
    if run.summary is None:
        return said
    said.append(answer_sentence(settings, run.summary))
    if run.summary["seen_before"]:
        said.append("The classifier or its coordinator was made on these very images.")
    return [*said, "It holds for the classifier as it was when it was asked."]
