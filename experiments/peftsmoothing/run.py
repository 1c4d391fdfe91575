"""Run a study: `python -m experiments.peftsmoothing.run methods --scale small`.

Every step is a `bbsmooth` command with its own run directory below `runs/peftsmoothing`; run again, a study goes on
from there. After every job the result is written as JSON, and from that JSON as Markdown, TeX and HTML, below `results`
beside this file.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path

import torch

from bbsmooth.runs.files import write_json
from experiments.peftsmoothing.collecting import collect, same_settings, with_earlier
from experiments.peftsmoothing.judging import JUDGED
from experiments.peftsmoothing.prepared import FOLDER, prepare
from experiments.peftsmoothing.running import carry_out
from experiments.peftsmoothing.study import SCALES, STUDIES, Job, Study
from experiments.peftsmoothing.table import write_tables

RESULTS = Path(__file__).parent / "results"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one study and write its table, row by row."""
    names = sorted(path.stem for path in STUDIES.glob("*.toml"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=names, help="which")
    parser.add_argument("--scale", choices=SCALES, default="small")
    parser.add_argument("--dry-run", action="store_true", help="print the commands, run none")
    parser.add_argument(
        "--rows", nargs="+", metavar="NAME", help="run these rows only; the table has all that are done"
    )
    parser.add_argument("--sigma", nargs="+", type=float, metavar="SIGMA", help="run these noise levels only")
    parser.add_argument("--table", action="store_true", help="write the table of the result that is there, run none")
    parser.add_argument("--at-once", type=int, default=1, metavar="N", help="jobs that share the processors")
    parser.add_argument("--model", help="in the place of the scale's")
    parser.add_argument("--data", help="in the place of the scale's, with its options")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER", help="of the JSON and the tables")
    given = parser.parse_args(arguments)
    path = given.results / f"{given.study}-{given.scale}.json"
    if given.table:
        write_tables(path)
    else:
        run(
            Study.read(given.study, given.scale).on(model=given.model, data=given.data),
            FOLDER / given.scale / given.study,
            path,
            given.rows,
            given.sigma,
            dry=given.dry_run,
            at_once=given.at_once,
        )


def run(
    study: Study,
    folder: Path,
    result: Path,
    rows: Collection[str] | None = None,
    sigmas: Collection[float] | None = None,
    *,
    dry: bool,
    at_once: int = 1,
) -> None:
    """Run every step below `folder` that is not done yet: in the order of their worth.

    `result` and its tables are written anew after each job, with whatever is done, here or before.

    Args:
        study: which.
        folder: of its runs.
        result: the JSON to write.
        rows: names of those to run, None for all.
        sigmas: noise levels to run, None for all.
        dry: only print the commands.
        at_once: jobs under way together, each with its part of torch's threads.

    Raises:
        SystemExit: the study has no such row or noise level, the result that is there is of other settings, or a step
            failed, which has said why.
    """
    jobs = list(study.jobs(folder))
    wanted = sorted(_chosen(jobs, rows, sigmas), key=lambda job: job.turn)
    earlier = json.loads(result.read_text()) if result.exists() else None
    if not dry:
        if earlier is not None and not same_settings(study, earlier):
            sys.exit(f"{result} is of other settings: name another folder, with --results")
        prepare(study.scale["data"])
    print(f"{len(jobs)} jobs, {sum(job.votes for job in jobs):,} votes to certify", flush=True)
    step = partial(carry_out, study, dry=dry, threads=max(1, torch.get_num_threads() // at_once))
    with ThreadPoolExecutor(at_once) as pool:
        begun: dict[Path, Future[None]] = {}
        for job in wanted:
            begun[job.place] = pool.submit(_in_turn, step, job, begun.get(job.after) if job.after else None)
        try:
            for done in as_completed(begun.values()):
                done.result()
                if not dry:
                    result.parent.mkdir(parents=True, exist_ok=True)
                    here = collect(study, [one for one in jobs if (one.place / JUDGED).exists()])
                    write_json(result, with_earlier(study, here, earlier))
                    write_tables(result)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _chosen(jobs: Sequence[Job], rows: Collection[str] | None, sigmas: Collection[float] | None) -> list[Job]:
    for given, there in ((rows, {job.row for job in jobs}), (sigmas, {job.sigma for job in jobs})):
        if unknown := set(given or ()) - there:
            sys.exit(f"the study has {sorted(there, key=str)}, not {sorted(unknown, key=str)}: name some of these")
    return [job for job in jobs if (rows is None or job.row in rows) and (sigmas is None or job.sigma in sigmas)]


def _in_turn(step: Callable[[Job], None], job: Job, before: Future[None] | None) -> None:
    """After the job that it builds on, which was begun earlier."""
    if before is not None:
        before.result()
    step(job)


if __name__ == "__main__":
    main()
