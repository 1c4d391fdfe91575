"""Run a study: `python -m experiments.peftsmoothing.run methods --scale small`.

Every step is a `bbsmooth` command with its own run directory below `runs/peftsmoothing`; run again, a study goes on
from there. The result is written as JSON, and from that JSON as Markdown, TeX and HTML, beside this file.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bbsmooth.runs import Status
from experiments.peftsmoothing.study import SCALES, STUDIES, Job, Study
from experiments.peftsmoothing.table import collect, write_tables

RESULTS = Path(__file__).parent / "results"
FOLDER = Path("runs/peftsmoothing")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one study and write its table."""
    names = sorted(path.stem for path in STUDIES.glob("*.toml"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=names, help="which")
    parser.add_argument("--scale", choices=SCALES, default="small")
    parser.add_argument("--dry-run", action="store_true", help="print the commands, run none")
    given = parser.parse_args(arguments)
    study = Study.read(given.study, given.scale)
    jobs = list(study.jobs(FOLDER / given.scale / given.study))
    for job in jobs:
        carry_out(job, dry=given.dry_run)
    if not given.dry_run:
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{given.study}-{given.scale}.json"
        path.write_text(json.dumps(collect(study, jobs), indent=2) + "\n")
        write_tables(path)


def carry_out(job: Job, *, dry: bool) -> None:
    """Run the steps of a job that are not done yet."""
    for words, out in job.steps:
        if _done(out):
            continue
        resume = ["--resume"] if (out / "manifest.json").exists() else []
        command = ["bbsmooth", *shlex.split(words), "--out", str(out), *resume]
        print("$", shlex.join(command), flush=True)
        if not dry:
            subprocess.run(
                [Path(sys.executable).with_name("bbsmooth"), *command[1:]], check=True, stdout=subprocess.DEVNULL
            )


def _done(out: Path) -> bool:
    manifest = out / "manifest.json"
    return manifest.exists() and json.loads(manifest.read_text())["status"] == Status.DONE


if __name__ == "__main__":
    main()
