"""`bbsmooth verify`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bbsmooth.cli import options
from bbsmooth.cli.guard import guarded
from bbsmooth.cli.places import reading


def verify(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run directory, its URL, or an archive that `bbsmooth bundle` made.")
    ],
    as_json: options.Json = False,
    authority: Annotated[
        Path | None,
        typer.Option(
            "--authority",
            metavar="FILE",
            help="Root certificates (PEM) of the authority that stamped the run; without them it is not known who did.",
        ),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            metavar="FILE",
            help="Public key (PEM) of who attested the run; without it it is not known who did.",
        ),
    ] = None,
) -> None:
    """Recompute every bound from the recorded counts and compare the files with their hashes. Asks the oracle nothing.

    Where the images and the recorded answers are at hand, every certificate is made again from them as well.

    Exit status 1 where anything is wrong, with one line for each finding.
    """
    with guarded(as_json=as_json), reading([run]) as (folder,):
        from bbsmooth.reporting.escaping import one_line
        from bbsmooth.runs.files import read_key_file
        from bbsmooth.verification.bundle import unbundled
        from bbsmooth.verification.run import verify as check

        with unbundled(folder) as held:
            found = check(held, authority=read_key_file(authority), key=read_key_file(key))
        if as_json:
            print(json.dumps(found.as_json()))
        else:
            lines = [f"WRONG: {line}" for line in found.findings] or [f"right: {line}" for line in found.checks]
            lines += [f"not checked: {line}" for line in found.unchecked]
            print("\n".join(map(one_line, lines)))
        if not found.verified:
            raise typer.Exit(1)
