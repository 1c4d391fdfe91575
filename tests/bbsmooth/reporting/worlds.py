"""Runs in a folder, as `bbsmooth certify` leaves them, without asking anybody."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bbsmooth import data
from bbsmooth.assemble import describe
from bbsmooth.certification import CohenPlan, Outcome, conclude
from bbsmooth.noise import Gaussian, Grid
from bbsmooth.runs.certificates import certificate_record, public_label, write_summary
from bbsmooth.runs.directory import RunDirectory, Status
from bbsmooth.runs.layout import CERTIFICATES, LEDGER
from bbsmooth.runs.summary import summarize
from oracles import Budget, Classes, Ledger, Purpose
from tests.builders import spec

RADII = (0.0, 0.25, 0.5, 0.75)
PLAN = CohenPlan(noise=Gaussian(0.5), num_selection=100, num_estimation=1000, alpha=0.001)
SIDE = 8

DIGITS = {
    "name": "digits",
    "split": "train",
    "fingerprint": "ab",
    "images": 40,
    "image_shape": [1, 8, 8],
    "classes": None,
}
"""As a manifest describes images."""


def pictures(folder: Path, count: int, classes: int) -> str:
    """The name of a data set of different grey images."""
    path = folder / "images.npz"
    generator = np.random.default_rng(7)
    pixels = generator.integers(0, 256, (count, SIDE, SIDE), dtype=np.uint8)
    np.savez(path, x=pixels, y=np.arange(count) % classes)
    return f"npz:{path}"


def certified(
    folder: Path,
    *,
    name: str = "run",
    images: int = 40,
    classes: Sequence[str] = ("zero", "one", "two"),
    seed: int = 0,
    oracle: str = "test",
    strength: float = 3.0,
    open_set: bool = False,
) -> Path:
    """A finished run over random votes; the class of image i is i modulo the number of classes."""
    known = Classes(list(classes), open_set=open_set)
    source = pictures(folder, images, len(classes))
    run = RunDirectory.open(
        folder / name,
        command="certify",
        settings=settings(source, images),
        context=describe(spec(known, name=oracle, image_shape=(1, SIDE, SIDE)), data.load(source))
        | {"coordinator": None},
        resume=False,
    )
    records = [_record(index, known, np.random.default_rng((seed, index)), strength) for index in range(images)]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (run.path / CERTIFICATES).write_text(lines)
    summary = summarize(records, RADII, images=images, seconds=1.5, largest_radius=PLAN.largest_radius)
    write_summary(run.path, summary)
    ledger = Ledger(Budget(price_per_1000=2.0), run.path / LEDGER)
    ledger.charge(images * PLAN.num_selection, purpose=Purpose.SELECT)
    ledger.charge(images * PLAN.num_estimation, purpose=Purpose.ESTIMATE)
    run.mark(Status.DONE)
    run.close()
    return run.path


def settings(source: str, images: int, **changes: Any) -> dict[str, Any]:
    """What a manifest says was asked for."""
    return {
        "oracle": "test",
        "budget": None,
        "max_price": None,
        "sigma": PLAN.noise.sigma,
        "noise": PLAN.noise.name,
        "coordinator": None,
        "seed": 3,
        "data": source,
        "resize": False,
        "data_root": None,
        "num_selection": PLAN.num_selection,
        "num_estimation": PLAN.num_estimation,
        "alpha": PLAN.alpha,
        "radii": list(RADII),
        "limit": images,
        "method": "cohen",
    } | changes


def tuned(folder: Path, *, name: str = "tuned") -> Path:
    """A finished tuning run with three judgements."""
    run = RunDirectory.open(
        folder / name,
        command="tune",
        settings=settings("digits", 0) | {"method": "spsa-gc", "budget": 3000},
        context=describe(spec(3), None) | {"data": DIGITS, "coordinator": None},
        resume=False,
    )
    events: list[dict[str, Any]] = [{"step": 0, "queries": 500, "heldout_accuracy": 0.5}]
    events += [{"step": step, "queries": 500 + 100 * step, "loss": 2.0 / step} for step in range(1, 21)]
    events += [{"step": 20, "queries": 3000, "heldout_accuracy": 0.625}]
    (run.path / "history.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    found = {
        "steps": 20,
        "queries": 3000,
        "best_step": 20,
        "heldout_accuracy_start": 0.5,
        "heldout_accuracy_best": 0.625,
    }
    write_summary(run.path, {"method": "spsa-gc", "seconds": 3.0} | found)
    ledger = Ledger(Budget(queries=3000), run.path / LEDGER)
    ledger.charge(3000, purpose=Purpose.TUNE)
    run.mark(Status.DONE)
    run.close()
    return run.path


def trained(folder: Path, *, name: str = "trained", watched: bool = False) -> Path:
    """A finished training run of two epochs; where it is watched, robust accuracy is noted after each."""
    run = RunDirectory.open(
        folder / name,
        command="train",
        settings={
            "model": "local-vit",
            "data": "digits",
            "method": "lora",
            "noise": "gaussian",
            "sigma": 0.5,
            "seed": 3,
        },
        context={"data": DIGITS},
        resume=False,
    )
    events: list[dict[str, Any]] = [{"epoch": number, "loss": 2.0 / number, "seconds": 1.5} for number in (1, 2)]
    for event in events if watched else ():
        event["robust_accuracy"] = event["epoch"] / 4
    (run.path / "history.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    found = {
        "parameters": {"trained": 500, "all": 20000, "share": 0.025},
        "epochs": 2,
        "seconds_per_epoch": 1.5,
        "peak_memory_bytes": 3 * 2**20,
        "clean_accuracy": 0.96875,
        "noisy_accuracy": 0.75,
    }
    write_summary(run.path, {"method": "lora", "objective": "augmentation"} | found)
    run.mark(Status.DONE)
    run.close()
    return run.path


def sequential(folder: Path, *radii: float, name: str, **how: Any) -> Path:
    """The same as if the votes had decided these radii one by one and nothing else."""
    path = certified(folder, name=name, **how)
    lines = [json.loads(line) for line in (path / CERTIFICATES).read_text().splitlines()]
    for line in lines:
        proven = line["radius"] or -1.0
        states = [(radius, "certified" if radius <= proven else "refuted") for radius in radii]
        line["decisions"] = [{"radius": radius, "state": state, "draws": 9, "successes": 9} for radius, state in states]
        line["method"] = "sequential"
        line["radius"] = max([radius for radius in radii if radius <= proven], default=None)
        if line["radius"] is None:
            line |= {"abstained": True, "reason": "unproven", "predicted": None, "correct": False}
    (path / CERTIFICATES).write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_summary(path, summarize(lines, radii, images=len(lines), seconds=1.5, largest_radius=PLAN.largest_radius))
    manifest = json.loads((path / "manifest.json").read_text())
    change(path / "manifest.json", settings=manifest["settings"] | {"method": "sequential", "radii": list(radii)})
    return path


def cut(path: Path, images: int) -> Path:
    """The same run as if its budget had ended after some images."""
    lines = [json.loads(line) for line in (path / CERTIFICATES).read_text().splitlines()]
    kept = lines[:images]
    (path / CERTIFICATES).write_text("".join(json.dumps(line) + "\n" for line in kept))
    write_summary(path, summarize(kept, RADII, images=len(lines), seconds=1.0, largest_radius=PLAN.largest_radius))
    change(path / "manifest.json", status="budget exhausted")
    return path


def change(path: Path, **changes: Any) -> None:
    """Change entries of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _record(index: int, classes: Classes, generator: np.random.Generator, strength: float) -> dict[str, Any]:
    label = index % len(classes)
    lean = np.zeros(len(classes))
    lean[label] = generator.normal(strength, 2)
    votes = generator.multinomial(PLAN.num_estimation, np.exp(lean) / np.exp(lean).sum())
    counts = Counter({number: int(count) for number, count in enumerate(votes) if count})
    selected = max(counts, key=lambda number: (counts[number], -number))
    distance = Grid(1).total_variation(PLAN.noise, SIDE * SIDE)
    outcome = Outcome(verdict=conclude(selected, counts, PLAN, total_variation=distance), selection_votes=60)
    return certificate_record(index, public_label(label, classes), outcome, PLAN, classes, 0.01)
