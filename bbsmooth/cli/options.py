"""Options that are no settings: where a run goes, what is printed, and short ways of saying a setting.

A new setting needs nothing here: declare it in its class in `bbsmooth.settings`, as one line

    shots: Annotated[int | None, Option("Use this many images of each class.", panel=Panel.TUNING)] = None

and every command that asks for the class has `--shots` (see `bbsmooth.cli.expanding`); name the field in
`bbsmooth.settings.flags` too, so that errors about it are told in flags.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from bbsmooth.errors import UsageError
from bbsmooth.settings.certify import ADAPTIVE, CertifyConfig
from bbsmooth.settings.common import FLOAT32, DataConfig, OracleConfig
from bbsmooth.settings.option import Option, Panel
from bbsmooth.settings.stamp import STAMPED, StampConfig

Out = Annotated[
    str,
    typer.Option(
        "--out",
        metavar="RUN",
        help="Run directory; everything about the run is kept there. A URL (s3://BUCKET/RUN, gs://, sftp://, ...) is "
        "brought up to date every few seconds, and any machine can resume from it.",
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Resume the run in --out; what it has already paid for is not paid again.")
]
Progress = Annotated[
    str,
    typer.Option(
        "--progress",
        metavar="NAME",
        help="Progress on stderr: auto (a bar on a terminal, else lines), json (an object a line) or none.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on stdout.")]

Seed = Annotated[
    str,
    typer.Option(
        "--seed",
        metavar="SEED",
        help="Fixes every random draw; the same seed gives the same results. stamped derives it from the stamp of "
        "--timestamp, so that nobody can choose it.",
        rich_help_panel=Panel.SAMPLING.value,
    ),
]
Timestamp = Annotated[
    str | None,
    typer.Option(
        "--timestamp",
        metavar="URL",
        help="RFC 3161 authority that stamps commitment.json, what the run fixes before its first query. It sees a "
        "digest alone. Needs `pip install 'bbsmooth[attest]'`.",
    ),
]

EXTRAS: Mapping[type, Mapping[str, tuple[Any, Option]]] = {
    OracleConfig: {
        "model": (
            str | None,
            Option(
                "A timm architecture in place of the embedded model of --oracle local-vit, as --oracle timm:NAME.",
                panel=Panel.SPEED,
                default=None,
            ),
        ),
        "devices": (
            str | None,
            Option(
                "Of local oracles: a replica on each device, as in cuda:0,cuda:1, or all for every GPU; changes no "
                "result.",
                "NAMES",
                Panel.SPEED,
                default=None,
            ),
        ),
    }
}
"""Options of the command line alone that stand beside the fields of a settings class."""


def seed_and_stamp(seed: str, timestamp: str | None) -> tuple[int, StampConfig]:
    """The seed, 0 where it follows from the stamp, and what is asked of an authority.

    Raises:
        UsageError: the seed is neither a number nor stamped.
    """
    stamp = StampConfig(timestamp=timestamp, seed=seed == STAMPED)
    if stamp.seed:
        return 0, stamp
    try:
        return int(seed), stamp
    except ValueError:
        raise UsageError(f"`seed` must be a whole number or {STAMPED}, got {seed!r}") from None


def places(device: str, devices: str | None) -> str:
    """Return the places where a local oracle computes, by `--device` and `--devices` together.

    Raises:
        UsageError: both say something.
    """
    if devices is None:
        return device
    if device != "auto":
        raise UsageError(f"--device names one place and --devices several, got {device!r} and {devices!r}; give one")
    return devices


def printed_form(format: str | None, out: Path | None, *, as_json: bool) -> str | None:
    """The form of a report: what --format says, or --json where no file takes it.

    Raises:
        UsageError: both say what is printed.
    """
    if not as_json or out is not None:
        return format
    if format not in (None, "json"):
        raise UsageError(f"--json prints one JSON object, and `format` asks for {format}; give one of them, or `out`")
    return "json"


def oracle_name(oracle: str, model: str | None) -> str:
    """The oracle that `--oracle` and `--model` mean together.

    Raises:
        UsageError: both name a model.
    """
    if model is None:
        return oracle
    if oracle != "local-vit":
        raise UsageError(f"--model goes with --oracle local-vit only, not with {oracle!r}; use --oracle timm:{model}")
    return f"timm:{model}"


def _asked_oracle(given: dict[str, Any]) -> dict[str, Any]:
    joined = {name: value for name, value in given.items() if name not in EXTRAS[OracleConfig]}
    if "model" in given:
        joined["oracle"] = oracle_name(given["oracle"], given["model"])
    if "devices" in given:
        joined["device"] = places(given["device"], given["devices"])
    return joined


def _asked_certificates(given: dict[str, Any]) -> dict[str, Any]:
    """Without a radius to decide, `sequential` stops by precision."""
    radii = given["radii"]
    method = ADAPTIVE if given["method"] == "sequential" and not radii else given["method"]
    return given | {"method": method, "radii": radii or ()}


def _refuse_dtype(given: Mapping[str, Any]) -> None:
    """Refuse arithmetic for an oracle that computes elsewhere."""
    from oracles.registry import is_local, local_schemes

    if given["dtype"] != FLOAT32 and not is_local(given["oracle"]):
        raise UsageError(
            f"`dtype` is for oracles that run here ({', '.join(local_schemes())}), not {given['oracle']!r}; leave it "
            "out"
        )


def _refuse_places(given: Mapping[str, Any]) -> None:
    """Refuse a place or a download of data that are not kept there."""
    if given["data_root"] is None and not given["download"]:
        return
    from bbsmooth.data import refuse_idle_places

    refuse_idle_places(given["data"], root=given["data_root"], download=given["download"])


REFUSED: Mapping[type, tuple[str, Callable[[Mapping[str, Any]], None]]] = {
    OracleConfig: ("dtype", _refuse_dtype),
    DataConfig: ("download", _refuse_places),
}
"""A field, and what refuses options that would be ignored where a command asks for it and a table does not say all."""

JOINED: Mapping[type, Callable[[dict[str, Any]], dict[str, Any]]] = {
    OracleConfig: _asked_oracle,
    CertifyConfig: _asked_certificates,
}
"""From what was given for a settings class to its fields, where that is not the same."""
