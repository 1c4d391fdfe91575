"""The main job on embedded real data: tune a coordinator in front of a query-only classifier, certify, compare.

Every step is a `bbsmooth` command that is printed before it runs, with its run directory below `runs/demo`. Run
again, the demo goes on from what is there and pays for nothing twice.
"""

from __future__ import annotations

import contextlib
import io
import shlex
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from bbsmooth.cli.main import app
from bbsmooth.reporting.compare import compare
from bbsmooth.reporting.report import report
from bbsmooth.runs.certificates import read_summary
from bbsmooth.runs.reading import run_json

FOLDER = Path("runs/demo")
PRETRAIN_EPOCHS = {0.5: 20, 1.0: 40}
"""By sigma: less noise is learnt sooner."""

IMAGES = 100
DRAWS = 1000
BUDGET = 20_000
PRICE = 1.0
RADII = (0.0, 0.25, 0.5, 0.75, 1.0)
STEPS = ("bare", "denoised", "denoised, tuned")


@dataclass(frozen=True, slots=True)
class Step:
    """One row of the table.

    Attributes:
        sigma: of the noise.
        name: what stands before the oracle.
        tuning: run directory of the coordinator, None for the bare oracle.
        certificates: run directory of the certification.
    """

    sigma: float
    name: str
    tuning: Path | None
    certificates: Path


def main() -> None:
    """Run all steps and print the table."""
    began = time.monotonic()
    steps = list(run_steps())
    console = Console(width=120)
    console.print(table(steps))
    console.print(
        f"{IMAGES} test digits, {DRAWS:,} votes each, alpha 0.001. noisy: share of right votes, the same noise in "
        f"each row.\nCertified accuracy of {IMAGES} images is known to about 9 points; summary.json has the intervals. "
        f"Took {time.monotonic() - began:.0f} s."
    )
    last = steps[-1]
    report(last.certificates, format="html", out=None, pictured=120)
    for form in ("html", "png"):
        compare([step.certificates for step in steps], format=None, out=FOLDER / f"comparison.{form}")
    console.print(f"\nPages: {last.certificates / 'report.html'}, {FOLDER / 'comparison.html'}", highlight=False)
    console.print(f"The runs are in {FOLDER}. Next, for instance:", highlight=False)
    console.print(f"  .venv/bin/bbsmooth verify {last.certificates}", highlight=False)
    console.print("  .venv/bin/bbsmooth oracle list", highlight=False)


def run_steps() -> Iterator[Step]:
    """Carry out what is not done yet."""
    radii = "".join(f" --radius {radius:g}" for radius in RADII)
    for sigma, epochs in PRETRAIN_EPOCHS.items():
        folder = FOLDER / f"sigma-{sigma:g}"
        denoiser, tuned = folder / "denoiser", folder / "tuned"
        subject = f"--oracle local-vit --data mnist5k --sigma {sigma:g}"
        command(f"tune {subject} --budget 0 --pretrain-epochs {epochs}", denoiser)
        command(f"tune {subject} --method equaliser --budget {BUDGET} --start {denoiser}", tuned)
        for name, tuning in zip(STEPS, (None, denoiser, tuned), strict=True):
            front = f" --coordinator {tuning}" if tuning else ""
            certificates = folder / f"certificates-{tuning.name if tuning else 'bare'}"
            command(f"certify {subject} --n {DRAWS} --limit {IMAGES}{radii}{front}", certificates)
            yield Step(sigma, name, tuning, certificates)


def command(words: str, out: Path) -> None:
    """Run one `bbsmooth` command, quietly."""
    resume = " --resume" if (out / "manifest.json").exists() else ""
    line = f"{words} --price {PRICE:g} --out {out}{resume}"
    print(f"$ bbsmooth {line}", flush=True)
    with contextlib.redirect_stdout(io.StringIO()):
        status = app(shlex.split(line), standalone_mode=False)
    if status:
        sys.exit(status)


def table(steps: list[Step]) -> Table:
    """What each step gained and what it cost."""
    radii = [row["radius"] for row in read_summary(steps[0].certificates)["certified_accuracy"]]
    columns = [f"r={radius:g}" for radius in radii]
    shown = Table("sigma", "oracle", "noisy", *columns, "abstained", "tuning", "certifying", "USD", box=box.SIMPLE)
    for step in steps:
        certified, tuning = run_json(step.certificates), step.tuning and run_json(step.tuning)
        summary = certified["summary"]
        tuning_ledger: dict[str, Any] = tuning["ledger"] if tuning else {"spent_total": 0, "price": 0.0}
        shown.add_row(
            f"{step.sigma:g}",
            step.name,
            _percent(summary["noisy_accuracy"]),
            *[_percent(row["value"]) for row in summary["certified_accuracy"]],
            str(summary["abstained"]),
            f"{tuning_ledger['spent_total']:,}",
            f"{certified['ledger']['spent_total']:,}",
            f"{tuning_ledger['price'] + certified['ledger']['price']:.2f}",
            end_section=step.name == STEPS[-1],
        )
    shown.title = (
        "Certified accuracy in % at radius r; queries spent (pre-training: 0); price at 1 USD per 1,000 queries"
    )
    return shown


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


if __name__ == "__main__":
    main()
