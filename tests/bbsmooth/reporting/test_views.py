"""Pictures come from the very data and noise of the run, or are not shown."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bbsmooth import data
from bbsmooth.noise import Grid, stream_name
from bbsmooth.randomness import Stream
from bbsmooth.reporting import views as module
from bbsmooth.reporting.views import views
from bbsmooth.runs.reading import Run, read_run
from tests.bbsmooth.reporting.worlds import PLAN, certified, change


def pixels(address: str) -> np.ndarray:
    assert address.startswith("data:image/png;base64,")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))))


def test_the_noisy_copy_is_the_first_estimation_draw(run: Run) -> None:
    found = views(run, 5)
    assert found.names == ("clean", "noisy")
    images = data.load(run.settings["data"])
    for index, (clean, noisy) in found.pictures.items():
        image = images.image(index)
        assert (pixels(clean) == image.numpy()[0]).all()
        stream = Stream(stream_name(3, "estimate", image, PLAN.noise, Grid(1)))
        drawn = Grid(1).noisy(image, PLAN.noise, stream, first=0, count=1)[0, 0]
        assert (pixels(noisy) == (drawn.clamp(0, 1) * 255).round().numpy()).all()
    assert len(found.pictures) == 5


def test_pictures_are_spread_over_the_radii(run: Run) -> None:
    radii = {record["index"]: record["radius"] or 0.0 for record in run.certificates or []}
    shown = sorted(radii[index] for index in views(run, 10).pictures)
    quarter = sorted(radii.values())[len(radii) // 4]
    assert 1 <= sum(radius <= quarter for radius in shown) <= 5
    assert shown[-1] > quarter


def test_they_are_bounded_in_bytes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    found = views(run, 40)
    assert 0 < len(found.pictures) < 40
    assert sum(len(address) for picture in found.pictures.values() for address in picture) <= 1000


def test_other_data_are_not_shown(run: Run) -> None:
    path = Path(run.settings["data"].removeprefix("npz:"))
    held = dict(np.load(path))
    np.savez(path, x=255 - held["x"], y=held["y"])
    assert views(run, 5).notes == [
        f"Images are not shown: {run.settings['data']} does not hold the images of this run any more."
    ]
    path.unlink()
    assert views(run, 5).pictures == {}


def test_other_noise_is_not_shown(tmp_path: Path) -> None:
    path = certified(tmp_path)
    change(path / "manifest.json", noise_algorithm="another")
    found = views(read_run(path), 5)
    assert found.names == ("clean",)
    assert "draws other noise" in found.notes[0]


def test_a_coordinator_that_is_gone_is_said(tmp_path: Path) -> None:
    path = certified(tmp_path)
    run = read_run(path)
    settings = run.settings | {"coordinator": str(tmp_path / "nowhere")}
    change(path / "manifest.json", coordinator={"fingerprint": "00"}, settings=settings)
    found = views(read_run(path), 5)
    assert found.names == ("clean", "noisy")
    assert "What the oracle was shown is missing" in found.notes[0]


def test_none_are_made_where_none_are_wanted(run: Run) -> None:
    assert views(run, 0).pictures == {}


def test_large_pictures_are_scaled_down() -> None:
    address = module._address(torch.rand(3, 300, 200))
    assert address.startswith("data:image/jpeg;base64,")
    assert Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).size == (64, 96)
