"""`bbsmooth attest`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bbsmooth.cli import options
from bbsmooth.cli.guard import guarded


def attest(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    key: Annotated[
        Path,
        typer.Option(
            "--key",
            metavar="FILE",
            help="Private Ed25519 key (PEM without a password), as `openssl genpkey -algorithm ed25519` makes one.",
        ),
    ],
    as_json: options.Json = False,
) -> None:
    """Sign what `bbsmooth verify` finds, the summary and digests of all files, as an in-toto statement (DSSE).

    It is written to attestation.dsse.json in the run, also where something is wrong, and says so. Exit status 1 then.
    Needs `pip install 'bbsmooth[attest]'`.
    """
    with guarded(as_json=as_json):
        from bbsmooth.runs.files import read_key_file
        from bbsmooth.verification.run import verify
        from bbsmooth.verification.statement import attest as sign

        found = verify(run)
        file = sign(run, read_key_file(key) or b"", found)
        if as_json:
            print(json.dumps({"attestation": str(file)} | found.as_json()))
        else:
            print(f"attested: {file} ({len(found.findings)} wrong, {len(found.unchecked)} not checked)")
        if not found.verified:
            raise typer.Exit(1)
