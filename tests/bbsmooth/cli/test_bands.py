"""Images of more bands than colours, as of a satellite: certified, shown and verified like any others."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bbsmooth.runs.certificates import read_certificates
from tests.bbsmooth.cli.world import bbsmooth

ORACLE = """
import numpy as np

def infrared(images):
    p = 1 / (1 + np.exp(-40 * (images[:, 4].mean((1, 2)) - 0.5)))
    return np.stack([1 - p, p], 1)
"""


def test_five_bands_are_certified_shown_and_verified(tmp_path: Path) -> None:
    (tmp_path / "oracle.py").write_text(ORACLE)
    bands = np.random.default_rng(0).integers(0, 256, (4, 16, 12, 5), dtype=np.uint8)
    bands[..., 4] = np.array([40, 210, 40, 210])[:, None, None]
    np.savez(tmp_path / "bands.npz", x=bands, y=[0, 1, 0, 1])
    oracle = f"module:{tmp_path / 'oracle.py'}:infrared?image_shape=5x16x12"
    data = f"npz:{tmp_path / 'bands.npz'}"

    made = bbsmooth("tune", "--oracle", oracle, "--data", data, "--sigma", 0.1, "--budget", 0, "--pretrain-epochs", 1,
                    "--out", tmp_path / "tuned")  # fmt: skip
    assert made.status == 0, made.err
    for front in ([], ["--coordinator", tmp_path / "tuned"]):
        run = tmp_path / f"run{len(front)}"
        done = bbsmooth("certify", "--oracle", oracle, "--data", data, "--sigma", 0.1, "--n", 50, "--out", run, *front)
        assert done.status == 0, done.err
        assert bbsmooth("verify", run).status == 0
    assert [one["correct"] for one in read_certificates(tmp_path / "run0")] == [True] * 4
    page = tmp_path / "page.html"
    assert bbsmooth("report", tmp_path / "run0", "--out", page).status == 0
    shown = _first_picture(page.read_text())
    assert (shown == bands[0, ..., :3]).all()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("content=picture", "a picture has 1 or 3 channels, got images of shape (5, 16, 12)"),
        ("mean=0.4,0.5,0.6&std=1", "mean has 3 values, the images have 5 channels"),
    ],
)
@pytest.mark.parametrize(
    "command",
    [
        ("certify", "--sigma", 0.1, "--n", 50),
        ("accept", "--sigma", 0.1, "--radius", 0.1, "--at-least", 0.5),
        ("plan", "--sigma", 0.1, "--radius", 0.1),
        ("tune", "--sigma", 0.1, "--budget", 500, "--pretrain-epochs", 1),
    ],
)
def test_bands_that_no_request_can_hold_are_refused_before_a_run_begins(
    tmp_path: Path, command: tuple[object, ...], options: str, says: str
) -> None:
    """Nothing listens at that address: a question would be another error, and a charge."""
    np.savez(tmp_path / "bands.npz", x=np.zeros((4, 16, 12, 5), dtype=np.uint8), y=[0, 1, 0, 1])
    oracle = f"litserve+http://127.0.0.1:9/predict?num_classes=2&{options}"
    done = bbsmooth(*command, "--oracle", oracle, "--data", f"npz:{tmp_path / 'bands.npz'}", "--out", tmp_path / "run")
    assert (done.status, says in done.line) == (2, True), done.err
    assert not (tmp_path / "run").exists()


def _first_picture(page: str) -> np.ndarray:
    address = re.search(r"data:image/png;base64,([^\"']+)", page)
    assert address is not None
    return np.array(Image.open(io.BytesIO(base64.b64decode(address[1]))))
