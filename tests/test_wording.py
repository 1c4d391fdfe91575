"""Plain English: phrases that a reader stumbles over come back in no help, page, docstring or message."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BANNED = (
    r"so many(?! (?:that|as))",
    "in the place of",
    "be gone on from",
    r"leave [\w, ]+ away",
    "who has seen",
    "without it all",
)
TEXTS = [
    path.relative_to(ROOT)
    for place in (
        "README.md",
        "CONTRIBUTING.md",
        "docs/**/*.md",
        "oracles/**/*.py",
        "bbsmooth/**/*.py",
        "bbsmooth/**/*.jinja",
    )
    for path in sorted(ROOT.glob(place))
]


@pytest.mark.parametrize("path", TEXTS, ids=str)
def test_texts_are_plain_english(path: Path) -> None:
    text = " ".join((ROOT / path).read_text().split())
    assert [found[0] for found in re.finditer("|".join(BANNED), text, re.IGNORECASE)] == []
