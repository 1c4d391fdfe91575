from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from oracles import SpecError, reference
from oracles.options import REFERENCE
from oracles.registry import open_oracle
from oracles.remote.opening import PROTOCOLS
from oracles.remote.protocols.openai import OpenaiOptions

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_code_says(tmp_path: Path) -> None:
    made = tmp_path / "oracles.md"
    subprocess.run([sys.executable, "-m", "oracles.reference", made], check=True, cwd=ROOT)
    assert (ROOT / REFERENCE).read_text() == made.read_text(), f"run `python -m oracles.reference {REFERENCE}`"


def test_every_protocol_and_every_option_is_explained() -> None:
    page = reference.page()
    assert all(f"`{name}`" in page for name in PROTOCOLS)
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    assert all(len(row) == 4 and all(cell.strip("| ") for cell in row) for row in rows)
    assert {f"| `{name}`" for name in ("labels", "patience_seconds", "layout", "quality", "body")} <= {
        r[0] for r in rows
    }


def test_forms_and_defaults_are_those_of_the_fields() -> None:
    options = {option.name: option for option in reference.options_of(OpenaiOptions)}
    assert "picture" not in options
    assert options["model"].default == "**needed**"
    assert (options["temperature"].form, options["temperature"].default) == ("a number", "`0`")
    assert options["structured"].default == "`false`"
    assert options["max_completion_tokens"].default == "not set"


@pytest.mark.parametrize(
    "name",
    [
        "kserve+http://h/v2/models/m?nothing=1",
        "module:x.py:f?nothing=1",
        "timm:resnet18?nothing=1",
        "local-vit?nothing=1",
    ],
)
def test_an_unknown_option_is_answered_with_the_page(name: str) -> None:
    with pytest.raises(SpecError, match=f"{REFERENCE} explains them"):
        open_oracle(name)
