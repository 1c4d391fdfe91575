"""Errors name fields, and one place knows what the command line calls them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import typer

from bbsmooth.cli.main import app
from bbsmooth.settings.flags import flag, in_flags

ROOT = Path(__file__).parents[3]
ELSEWHERE = [
    path.relative_to(ROOT)
    for top in ("oracles", "bbsmooth")
    for path in sorted((ROOT / top).rglob("*.py"))
    if "cli" not in path.relative_to(ROOT).parts and path.name != "flags.py"
]


def literals(source: str) -> list[str]:
    """String literals, pieces of f-strings among them; no docstrings and no other strings that nobody uses."""
    tree = ast.parse(source)
    idle = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in idle]
    return [node.value for node in found if isinstance(node.value, str)]


@pytest.mark.parametrize("path", ELSEWHERE, ids=str)
def test_only_the_command_line_names_flags(path: Path) -> None:
    assert [text for text in literals((ROOT / path).read_text()) if re.search(r"(?<![\w-])--[a-z]", text)] == []


def options() -> set[str]:
    """Every flag of every command."""
    found: set[str] = set()
    todo = [typer.main.get_command(app)]
    while todo:
        command = todo.pop()
        todo += getattr(command, "commands", {}).values()
        found |= {name for parameter in command.params for name in parameter.opts if name.startswith("--")}
    return found - {"--help", "--version", "--json"}


def test_every_flag_stands_for_a_field_and_no_field_for_a_flag_that_is_not_there() -> None:
    from bbsmooth.settings import flags

    known = {flag(field) for field in flags.FIELDS} - {None, "the image files"}
    assert known == options()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("`batch_size` must be at least 1, got 0", "--batch-size must be at least 1, got 0"),
        ("`radii` 0.5; lower `num_estimation`", "--radius 0.5; lower --n"),
        ("go on with it by `resume=True`", "go on with it by --resume"),
        ('use `device="cuda"`', "use --device cuda"),
        ("a run of `bbsmooth certify`, `pip install 'bbsmooth[ray]'`", None),
        ("the key `nobody_knows` and `unclosed", None),
    ],
)
def test_fields_between_backticks_become_flags(text: str, expected: str | None) -> None:
    assert in_flags(text) == (expected or text)
