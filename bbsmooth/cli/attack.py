"""`bbsmooth attack`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bbsmooth.cli import options
from bbsmooth.cli.guard import guarded, stop
from bbsmooth.cli.places import found_in, writing

RADII = (0.25, 0.5, 0.75, 1.0)
METHODS_IN_HELP = (
    "gradient (SmoothAdv's, for models whose weights are here), nes (by the oracle's scores), or hopskipjump "
    "(foolbox's; labels suffice)."
)
_ATTACK = "Attack"


def attack(
    certified: Annotated[
        Path, typer.Argument(metavar="RUN", help="Directory of the `bbsmooth certify` run whose images are attacked.")
    ],
    out: options.Out,
    method: Annotated[str, typer.Option(metavar="NAME", help=METHODS_IN_HELP)] = "gradient",
    resume: options.Resume = False,
    as_json: options.Json = False,
    progress: options.Progress = "auto",
    radius: Annotated[
        list[float] | None,
        typer.Option(metavar="NUMBER", help="L2 radius; may be repeated. Without it 0.25, 0.5, 0.75, 1."),
    ] = None,
    steps: Annotated[int, typer.Option(metavar="INTEGER", help="Of the attack.", rich_help_panel=_ATTACK)] = 20,
    draws: Annotated[
        int,
        typer.Option(
            metavar="INTEGER",
            help="Noisy copies in a step of gradient or nes, answers behind a direction of hopskipjump.",
            rich_help_panel=_ATTACK,
        ),
    ] = 32,
    search: Annotated[
        int, typer.Option(metavar="INTEGER", help="Votes behind an answer to the attacker.", rich_help_panel=_ATTACK)
    ] = 100,
    judge: Annotated[
        int,
        typer.Option(metavar="INTEGER", help="Votes that decide whether an image is turned.", rich_help_panel=_ATTACK),
    ] = 1000,
    alpha: Annotated[float, typer.Option(metavar="NUMBER", help="Of that decision.", rich_help_panel=_ATTACK)] = 1e-6,
    seed: options.Seed = 1,
    limit: Annotated[
        int | None,
        typer.Option(metavar="IMAGES", help="Attack the first so many certificates.", rich_help_panel=options.IMAGES),
    ] = None,
    budget: options.Budget = None,
    price: options.Price = None,
    max_price: options.MaxPrice = None,
    batch_size: options.BatchSize = 256,
    device: options.Device = "auto",
    devices: options.Devices = None,
) -> None:
    """Attack certified images, and put empirical robust accuracy beside the certified one.

    Every answer to the attacker is a vote of the smoothed classifier and costs queries. Nothing found can lie inside a
    certified radius; if it does, that is an alarm, with everything that is needed to see it again.
    """
    with guarded(out, as_json=as_json, progress=progress), writing(out, resume=resume) as folder:
        from bbsmooth.api.sessions.attack import AttackConfig
        from bbsmooth.commands.by_name import attack as run

        summary = run(
            certified,
            folder,
            oracle={
                "budget": budget,
                "price": price,
                "max_price": max_price,
                "batch_size": batch_size,
                "concurrency": 1,
                "device": options.places(device, devices),
            },
            config=AttackConfig(
                method=method,
                radii=tuple(sorted(set(radius or RADII))),
                steps=steps,
                num_search=search,
                num_judge=judge,
                alpha=alpha,
                draws=draws,
                limit=limit,
                seed=seed,
            ),
            resume=resume,
        )
        found = found_in(folder, as_json=as_json)
    print(found)
    if summary["contradictions"]:
        stop(
            f"ALARM: images {summary['contradictions']} are turned inside their certified radius; attacks.jsonl has "
            f"the seed and {out.rstrip('/')}/examples the images",
            1,
            as_json=False,
        )
