"""`bbsmooth attack`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from bbsmooth.cli import options
from bbsmooth.cli.expanding import Options, asking
from bbsmooth.cli.guard import stop
from bbsmooth.cli.places import found_in, writing
from bbsmooth.settings.attack import AttackConfig
from bbsmooth.settings.common import LIMITS, OracleConfig


@asking
def attack(
    certified: Annotated[
        Path, typer.Argument(metavar="RUN", help="Directory of the `bbsmooth certify` run whose images are attacked.")
    ],
    oracle: Annotated[
        dict[str, Any],
        Options(of=OracleConfig, only=(*LIMITS, "price", "prices", "batch_size", "device", "devices")),
    ],
    config: Annotated[AttackConfig, Options(without=("seed",))],
    out: options.Out,
    resume: options.Resume = False,
    as_json: options.Json = False,
    progress: options.Progress = "auto",
    seed: options.Seed = "1",
    timestamp: options.Timestamp = None,
) -> None:
    """Attack certified images, and put empirical robust accuracy beside the certified one.

    Every answer to the attacker is a vote of the smoothed classifier and costs queries. Nothing found can lie inside a
    certified radius; if it does, that is an alarm, with everything that is needed to see it again.
    """
    from bbsmooth.commands.by_name import attack as run

    number, stamp = options.seed_and_stamp(seed, timestamp)
    config = replace(config, seed=number)
    with writing(out, resume=resume) as folder:
        summary = run(certified, folder, oracle=oracle | {"concurrency": 1}, config=config, resume=resume, stamp=stamp)
        found = found_in(folder, as_json=as_json)
    print(found)
    if summary["contradictions"]:
        stop(
            f"ALARM: images {summary['contradictions']} are turned inside their certified radius; attacks.jsonl has "
            f"the seed and {out.rstrip('/')}/examples the images",
            1,
            as_json=False,
        )
