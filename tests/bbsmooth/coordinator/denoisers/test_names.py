"""Which names are the shipped denoisers', and which are places."""

from __future__ import annotations

from pathlib import Path

import pytest

from bbsmooth.api.subject import front_of
from bbsmooth.coordinator.denoisers.names import front_place


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ("natural", Path("natural")),
        ("natural-small", Path("natural-small")),
        (Path("natural"), Path("natural")),
        ("./natural", Path.cwd() / "natural"),
        ("natural-small/", Path.cwd() / "natural-small"),
        ("./runs/tuned/", Path("runs/tuned")),
        ("./natural-large", Path("natural-large")),
    ],
)
def test_a_folder_is_told_from_a_shipped_denoiser(given: str | Path, place: Path) -> None:
    assert front_place(given) == place
    assert front_of(given, 0.25).path == place
