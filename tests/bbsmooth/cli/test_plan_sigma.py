"""`bbsmooth plan --sigma auto`: the sigma that certifies most, against a classifier whose share is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import beta, binom, norm

import bbsmooth as bb
from bbsmooth.settings.sigma import queries_of, rounds, sigma_grid
from tests.bbsmooth.cli.world import Outcome, bbsmooth

RADIUS, HALF_WIDTH, DRAWS, ALPHA = 0.05, 0.16, 1000, 0.001  # so small that no noise is clipped
CERTIFIED = 500

ORACLE = f'''
from pathlib import Path

import numpy as np

HERE = Path(__file__)


def band(images):
    """1 where the image lies within {HALF_WIDTH} of the middle, in L2 distance along the mean."""
    log, kill = HERE.with_suffix(".log"), HERE.with_name("kill")
    with log.open("a") as file:
        file.write("x\\n" * len(images))
    if kill.exists() and len(log.read_text()) // 2 >= int(kill.read_text()):
        raise RuntimeError("gone")
    inside = np.abs(images.reshape(len(images), -1).astype(np.float64).sum(1) / 8 - 4) < {HALF_WIDTH}
    return np.stack([~inside, inside], 1).astype(np.float64)
'''


class Band:
    """Grey images of 8 x 8 pixels, most of them within a band, and a classifier that tells which."""

    def __init__(self, folder: Path, *, images: int = 900) -> None:
        self.folder = folder
        (folder / "oracle.py").write_text(ORACLE)
        generator = np.random.default_rng(0)
        wanted = 0.5 + generator.uniform(-1, 1, images) * HALF_WIDTH * 1.2 / 8
        pixels = wanted[:, None, None] * 255 + generator.integers(-9, 10, (images, 8, 8))
        self.pixels = np.rint(pixels).astype(np.uint8)
        self.places: NDArray[np.float64] = self.pixels.reshape(images, -1).sum(1) / 255 / 8 - 4
        self.labels = (np.abs(self.places) < HALF_WIDTH).astype(np.int64)
        np.savez(folder / "images.npz", x=self.pixels, y=self.labels)

    @property
    def oracle(self) -> str:
        return f"module:{self.folder / 'oracle.py'}:band?num_classes=2"

    @property
    def asked(self) -> int:
        log = self.folder / "oracle.log"
        return len(log.read_text().split()) if log.exists() else 0

    def share(self, sigma: float) -> float:
        """The expected share of the first images that `DRAWS` draws certify at `RADIUS`, for the right class."""
        inside = norm.cdf((HALF_WIDTH - self.places) / sigma) - norm.cdf((-HALF_WIDTH - self.places) / sigma)
        right = np.where(self.labels == 1, inside, 1 - inside)[:CERTIFIED]
        hits = np.arange(1, DRAWS + 1)
        enough = hits[beta.ppf(ALPHA, hits, DRAWS - hits + 1) >= norm.cdf(RADIUS / sigma)]
        return float(binom.sf(enough.min() - 1, DRAWS, right).mean()) if len(enough) else 0.0

    def plan(self, *arguments: object) -> Outcome:
        """Plan to certify the first images by `cohen`; later arguments win."""
        options = ("--radius", RADIUS, "--method", "cohen", "--n", DRAWS, "--alpha", ALPHA, "--limit", CERTIFIED)
        data = ("--data", f"npz:{self.folder / 'images.npz'}", "--batch-size", 512)
        return bbsmooth("plan", "--oracle", self.oracle, *data, *options, *arguments)

    def planned(self, *arguments: object) -> dict[str, Any]:
        done = self.plan("--json", *arguments)
        assert done.status == 0, done.err
        return dict(json.loads(done.out))


@pytest.fixture
def few_replicates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forecasts that take no time, where how good they are is not asked."""
    monkeypatch.setattr("bbsmooth.certification.forecast.REPLICATES", 20)


@pytest.fixture
def band(tmp_path: Path) -> Band:
    return Band(tmp_path)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_the_chosen_sigma_certifies_as_much_as_the_best_for_few_queries(band: Band, seed: int) -> None:
    found = band.planned("--sigma", "auto", "--seed", seed)
    shares = {row["sigma"]: band.share(row["sigma"]) for row in found["sigmas"]}
    assert set(shares) <= set(sigma_grid(RADIUS))
    assert len(shares) >= 6
    assert max(shares.values()) - min(shares.values()) > 0.2  # else any choice would do
    assert shares[found["sigma"]] >= max(shares.values()) - 0.01
    assert found["pilot"]["queries"] == band.asked < 0.05 * found["expected"][-1]["queries"]["expected"]
    assert min(found["pilot"]["images"]) >= CERTIFIED
    last = next(row for row in found["sigmas"] if row["sigma"] == found["sigma"])
    assert last["certified"]["low"] <= band.share(found["sigma"]) <= last["certified"]["high"]


SMALL = ("--sigma", 0.03, "--sigma", 0.04, "--sigma", 0.08, "--pilot", 10, "--pilot-draws", 5, "--n0", 10)
SPENT = 3 * 10 * 5 + 2 * 10 * 5  # two of three are asked about ten more images


@pytest.mark.usefixtures("few_replicates")
def test_a_budget_of_what_it_takes_is_enough_and_one_less_is_refused(band: Band) -> None:
    done = band.plan(*SMALL, "--budget", SPENT - 1)
    assert done.status == 2
    assert f"cannot pay for the choice of --sigma, which takes {SPENT}" in done.line
    assert band.asked == 0
    assert band.planned(*SMALL, "--budget", SPENT)["pilot"]["queries"] == SPENT
    assert band.asked == SPENT


@pytest.mark.usefixtures("few_replicates")
def test_a_pilot_that_broke_off_goes_on_and_pays_for_nothing_twice(band: Band, tmp_path: Path) -> None:
    options = (*SMALL, "--batch-size", 8, "--concurrency", 1, "--out", tmp_path / "run")
    (band.folder / "kill").write_text("100")
    assert band.plan(*options).status == 4
    (band.folder / "kill").unlink()
    found = band.planned(*options, "--resume")
    assert SPENT <= found["pilot"]["queries"] <= SPENT + 8  # the call that broke off stays charged
    assert SPENT <= band.asked <= SPENT + 8
    fresh = band.planned(*SMALL)
    assert found["sigma"] == fresh["sigma"]
    assert [row["certified"] for row in found["sigmas"]] == [row["certified"] for row in fresh["sigmas"]]


@pytest.mark.usefixtures("few_replicates")
def test_the_manifest_names_the_choice_and_the_report_shows_the_table(band: Band, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = band.plan(*SMALL, "--price", 2, "--out", run)
    assert done.status == 0, done.err
    manifest = json.loads((run / "manifest.json").read_text())
    chosen = json.loads((run / "summary.json").read_text())["sigma"]
    assert (manifest["settings"]["sigma"], manifest["settings"]["sigmas"]) == ("auto", [0.03, 0.04, 0.08])
    assert manifest["pilot"]["sigma"] == chosen
    assert f"certify with --sigma {chosen:g} --n {DRAWS} --limit {CERTIFIED}" in done.out
    assert done.out.count("<- chosen") == 1
    shown = bbsmooth("report", run, "--format", "text")
    assert f"sigma {chosen:g}, chosen for the radius" in shown.out
    assert f"right and certified at {RADIUS:g}" in shown.out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--sigma", "auto", "--radius", 0.1], "--sigma is chosen for one radius above 0"),
        (["--sigma", "0.1", "--sigma", "auto"], "--sigma must be auto, one number or several"),
        (["--sigma", "much"], "--sigma must be auto, one number or several"),
        (["--sigma", "0.1", "--sigma", "0.1"], "--sigma must be auto, one number or several different ones"),
        (["--sigma", "0.02", "--sigma", "0.04"], "cannot prove radius 0.05 with --sigma 0.02: leave that out"),
        (["--sigma", "auto", "--n", 16], "with 1 of the sigmas"),
        (["--sigma", "auto", "--at-least", 0.5], "--at-least does not go with the choice of --sigma"),
        (["--sigma", "auto", "--choose-cap", 0.1, "--method", "sequential"], "--choose-cap does not go with"),
        (["--sigma", "auto", "--labels", "oracle"], "--sigma auto needs images with labels"),
        (["--sigma", "auto", "--limit", 899], "there are 1 others for --pilot 50: lower --limit"),
        (["--sigma", "auto", "--pilot", 0], "--pilot must be at least 1 image"),
    ],
)
def test_what_leaves_no_choice_costs_nothing(band: Band, arguments: list[object], expected: str) -> None:
    done = band.plan(*arguments)
    assert done.status == 2
    assert expected in done.line
    assert band.asked == 0


def test_no_radius_is_refused(band: Band) -> None:
    data = ("--data", f"npz:{band.folder / 'images.npz'}", "--limit", CERTIFIED)
    done = bbsmooth("plan", "--oracle", band.oracle, *data, "--sigma", "auto")
    assert done.status == 2
    assert "give --radius once" in done.line


@pytest.mark.parametrize("command", ["certify", "predict", "accept"])
def test_other_commands_say_who_chooses(band: Band, command: str) -> None:
    done = bbsmooth(command, "--oracle", band.oracle, "--sigma", "auto")
    assert done.status == 2
    assert "bbsmooth plan --sigma auto" in done.err


@pytest.mark.usefixtures("few_replicates")
def test_a_call_chooses_as_the_command(band: Band) -> None:
    options = ("--method", "sequential", "--n", 200, "--alpha", 0.01, "--beta", 0.05, "--n0", 10, "--seed", 3)
    there = band.planned(*SMALL, *options)
    found = bb.plan(
        band.oracle,
        band.pixels[:, None],
        band.labels,
        noise=[bb.Gaussian(sigma) for sigma in (0.08, 0.04, 0.03)],
        radii=[RADIUS],
        num_selection=10,
        max_estimation=200,
        alpha=0.01,
        beta=0.05,
        pilot=10,
        pilot_draws=5,
        limit=CERTIFIED,
        seed=3,
    )
    assert found.sigma == there["sigma"]
    assert [row["certified"] for row in found.sigmas] == [row["certified"] for row in there["sigmas"]]
    assert found.summary["pilot"]["queries"] == there["pilot"]["queries"]
    with pytest.raises(bb.UsageError, match="`noise` must be one"):
        bb.plan(
            band.oracle,
            band.pixels[:, None],
            noise=[bb.Gaussian(0.1), bb.Laplace(0.2)],
            radii=[RADIUS],
            num_selection=10,
            max_estimation=200,
            alpha=0.01,
            beta=0.05,
            pilot=10,
            seed=3,
        )


def test_rounds_halve_the_sigmas_and_double_the_images_as_long_as_there_are_some() -> None:
    assert rounds(8, 50, 1000) == [(8, 50), (4, 100), (2, 200)]
    assert queries_of(rounds(8, 50, 1000), 20) == (8 * 50 + 4 * 50 + 2 * 100) * 20
    assert rounds(5, 50, 120) == [(5, 50), (3, 100), (2, 120)]
    assert rounds(8, 50, 50) == [(8, 50)]
    assert rounds(2, 50, 1000) == [(2, 50)]


def test_the_grid_lies_about_the_radius() -> None:
    grid = sigma_grid(0.25)
    assert grid[0] == pytest.approx(0.25 / 3, abs=1e-3)
    assert grid[-1] == pytest.approx(0.75)
    assert np.diff(np.log(grid)) == pytest.approx(np.log(9) / 7, rel=0.02)
    assert sigma_grid(0.5)[-1] == 1
    assert sigma_grid(2.0)[-1] == 2
