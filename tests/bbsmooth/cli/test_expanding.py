"""Options that come from settings classes, and settings that come from options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from bbsmooth.cli.expanding import Options, asking
from bbsmooth.errors import UsageError
from bbsmooth.settings.option import Option, ascending


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    sigma: Annotated[float, Option("Needed.")]
    alpha: Annotated[float, Option("With a default on the command line alone.", default=0.001)]
    radii: Annotated[tuple[float, ...], Option("Several; see `sigma`.", default=(1.0,), parse=ascending)]
    lora_targets: Annotated[tuple[str, ...] | None, Option("In one text.", separator=",")] = None
    workers: Annotated[int, Option("None where nobody says.", default=None, least=1)] = 0
    data_root: Annotated[Path | None, Option("A folder.")] = None
    download: Annotated[bool, Option("Whether.")] = False

    def __post_init__(self) -> None:
        if self.sigma <= 0:
            raise UsageError(f"`sigma` must be above 0, got {self.sigma}")


def given(hint: Any, *arguments: str) -> Any:
    """What a command gets that asks for `hint`, or what it says."""
    seen: list[Any] = []

    def command(settings: Any, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
        seen.append(settings)

    command.__annotations__["settings"] = hint
    app = typer.Typer()
    app.command()(asking(command))
    done = CliRunner().invoke(app, arguments)
    return seen[0] if done.exit_code == 0 and seen else (done.exit_code, done.output)


def test_what_is_not_given_is_left_to_the_defaults() -> None:
    assert given(Settings, "--sigma", "0.5") == Settings(sigma=0.5, alpha=0.001, radii=(1.0,))


def test_everything_given_arrives() -> None:
    arguments = "--sigma 1 --alpha 0.1 --radius 2 --radius 0.5 --radius 2 --lora-targets a,b --workers 3 --data-root x"
    assert given(Settings, *arguments.split(), "--download") == Settings(
        sigma=1.0,
        alpha=0.1,
        radii=(0.5, 2.0),
        lora_targets=("a", "b"),
        workers=3,
        data_root=Path("x"),
        download=True,
    )


def test_a_field_without_a_default_is_a_required_option() -> None:
    status, output = given(Settings)
    assert status == 2
    assert "--sigma" in output


def test_settings_that_cannot_be_are_one_line_that_names_the_flag() -> None:
    status, output = given(Settings, "--sigma", "0")
    assert (status, output) == (2, "error: --sigma must be above 0, got 0.0\n")


def test_a_command_leaves_fields_out_and_asks_otherwise() -> None:
    hint = Annotated[Settings, Options(without=("alpha", "radii", "workers"), sigma=Option("Else 2.", default=2.0))]
    with pytest.raises(TypeError, match="asks for sigma twice"):
        asking(_twice)
    assert given(Annotated[dict[str, Any], Options(of=Settings, only=("alpha",))]) == {"alpha": 0.001}
    assert given(hint, "--workers", "2")[0] == 2  # there is no such option
    assert given(hint) == Settings(sigma=2.0, alpha=0.001, radii=(1.0,))


def test_settings_that_go_with_an_option_are_none_without_it() -> None:
    hint = Annotated[Settings | None, Options(given_with="sigma", sigma=Option("Perhaps.", default=None))]
    assert given(hint, "--sigma", "3").sigma == 3
    seen: list[Any] = []

    def command(settings: Any) -> None:
        seen.append(settings)

    command.__annotations__["settings"] = hint
    app = typer.Typer()
    app.command()(asking(command))
    assert CliRunner().invoke(app, []).exit_code == 0
    assert seen == [None]


def _twice(one: Settings, other: Annotated[Settings, Options(sigma=Option("Otherwise."))]) -> None: ...


def test_help_names_flags_for_fields() -> None:
    status, output = given(Settings, "--help")
    assert status == 0
    assert "Several; see --sigma." in output
