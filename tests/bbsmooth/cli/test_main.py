"""The command as a whole: help, version, command lines that make no sense."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import typer

from bbsmooth.cli.main import app
from tests.bbsmooth.cli.world import bbsmooth

COMMANDS = [
    ["tune"],
    ["certify"],
    ["predict"],
    ["report"],
    ["oracle", "list"],
    ["oracle", "check"],
    ["data", "list"],
]


def test_help_needs_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from bbsmooth.cli.main import app\n"
        "app(sys.argv[1:], standalone_mode=False)\n"
        "heavy = {'torch', 'timm', 'numpy', 'scipy', 'sklearn'} & set(sys.modules)\n"
        "sys.exit(f'loaded {sorted(heavy)}' if heavy else 0)\n"
    )
    for arguments in (["--help"], ["certify", "--help"], ["--version"]):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_option_says_what_it_means(command: list[str]) -> None:
    group = typer.main.get_command(app)
    found = group
    for name in command:
        found = found.commands[name]  # type: ignore[attr-defined]  # groups have commands
    assert [option.name for option in found.params if not getattr(option, "help", None)] == []
    shown = bbsmooth(*command, "--help")
    assert shown.status == 0
    for option in found.params:
        assert all(name in shown.out for name in option.opts if name.startswith("--"))


@pytest.mark.parametrize("arguments", [[], ["oracle"], ["data"]])
def test_a_group_without_a_command_explains_itself(arguments: list[str]) -> None:
    done = bbsmooth(*arguments)
    assert done.status == 2
    assert "Commands" in done.out


def test_version() -> None:
    done = bbsmooth("--version")
    assert done.status == 0
    assert done.out.startswith("bbsmooth 0.")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["predcit"], "No such command 'predcit'. Did you mean 'predict'? see `bbsmooth --help`"),
        (["oracle", "chekc"], "see `bbsmooth oracle --help`"),
        (["certify", "--bugdet", "3"], "--bugdet"),
        (["certify"], "Missing option '--oracle'; see `bbsmooth certify --help`"),
        (["certify", "--sigma", "much"], "'--sigma'"),
        (["report"], "Missing argument"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_one_line(arguments: list[str], expected: str) -> None:
    done = bbsmooth(*arguments)
    assert done.status == 2
    assert done.out == ""
    assert done.line.startswith("error: ")
    assert expected in done.line
    in_json = bbsmooth(*arguments, "--json")
    assert json.loads(in_json.out) == {"error": in_json.line, "exit_status": 2}


def test_the_installed_command_leaves_with_the_same_status() -> None:
    code = "from bbsmooth.cli.main import run; run()"
    done = subprocess.run([sys.executable, "-c", code, "report", "nowhere"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "error: nowhere is not a run directory: it holds no manifest.json\n"
