"""`bbsmooth tune --sigma auto`: the choice is paid from the budget, kept in the manifest, and part of certificates."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import bbsmooth as bb
from bbsmooth.runs.files import write_json
from bbsmooth.runs.hashes import run_hashes
from bbsmooth.settings.sigma import queries_of, rounds
from tests.bbsmooth.cli.test_plan_sigma import RADIUS, Band
from tests.bbsmooth.cli.world import Outcome, bbsmooth

SIGMAS, PILOT, DRAWS, BUDGET = (0.02, 0.05, 0.1, 0.2), 20, 10, 12_000
COST = queries_of(rounds(len(SIGMAS), PILOT, 10_000), DRAWS)


@pytest.fixture
def band(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Band:
    monkeypatch.setattr("bbsmooth.certification.forecast.REPLICATES", 40)
    (tmp_path / "mine.py").write_text("def same(images, sigma):\n    return images\n")
    return Band(tmp_path)


def start(band: Band) -> str:
    return f"module:{band.folder / 'mine.py'}:same"


def tune(band: Band, *arguments: object, out: str = "tuned") -> Outcome:
    """Tune behind a denoiser that does nothing; later arguments win."""
    sigmas = [part for sigma in SIGMAS for part in ("--sigma", sigma)]
    data = ("--data", f"npz:{band.folder / 'images.npz'}", "--train-images", 250, "--progress", "none")
    pilot = ("--radius", RADIUS, "--pilot", PILOT, "--pilot-draws", DRAWS, "--start", start(band), "--budget", BUDGET)
    return bbsmooth("tune", "--oracle", band.oracle, *data, *sigmas, *pilot, "--out", band.folder / out, *arguments)


def read(band: Band, name: str, run: str = "tuned") -> dict[str, Any]:
    return dict(json.loads((band.folder / run / f"{name}.json").read_text()))


def test_what_is_chosen_is_charged_kept_and_stated(band: Band) -> None:
    done = tune(band)
    assert done.status == 0, done.err
    assert f"the pilot asks {COST:,} queries" in done.err
    manifest, ledger = read(band, "manifest"), read(band, "ledger")
    choice = manifest["sigma_choice"]
    chosen = choice["sigma"]
    assert band.share(chosen) > max(map(band.share, SIGMAS)) - 0.1
    assert manifest["settings"]["sigma"] == chosen
    assert manifest["settings"]["sigmas"] == list(SIGMAS)
    assert read(band, "summary")["sigma_choice"] == choice
    assert ledger["spent"]["select"] == choice["queries"] == COST
    assert ledger["spent_total"] == band.asked <= BUDGET
    certified = band.folder / "certified"
    ways = ("--data", f"npz:{band.folder / 'images.npz'}", "--limit", 2, "--coordinator", band.folder / "tuned")
    found = bbsmooth("certify", "--oracle", band.oracle, *ways, "--sigma", chosen, "--n", 50, "--out", certified)
    assert found.status == 0, found.err
    other = bbsmooth("certify", "--oracle", band.oracle, *ways, "--sigma", 0.3, "--out", band.folder / "other")
    assert (other.status, f"was made for sigma {chosen:g}, not 0.3" in other.line) == (2, True)
    for run in ("tuned", "certified"):
        assert bbsmooth("verify", band.folder / run).status == 0
        report = bbsmooth("report", band.folder / run, "--format", "md")
        assert (
            f"Sigma {chosen:g} was chosen for radius {RADIUS:g} among 0.02, 0.05, 0.1, 0.2, by {COST:,}" in report.out
        )


def test_killed_in_the_pilot_it_goes_on_and_pays_for_nothing_twice(band: Band) -> None:
    kill = band.folder / "kill"
    kill.write_text(str(COST // 3))
    killed = tune(band)
    assert killed.status == 4, killed.err
    assert "everything so far is saved" in killed.err
    assert read(band, "manifest")["settings"]["sigma"] == "auto"
    assert bbsmooth("report", band.folder / "tuned").status == 0
    kill.unlink()
    before = band.asked
    assert tune(band, "--resume").status == 0
    assert tune(band, out="whole").status == 0
    assert read(band, "manifest")["sigma_choice"]["sigma"] == read(band, "manifest", "whole")["sigma_choice"]["sigma"]
    assert before < read(band, "ledger")["spent_total"] <= BUDGET
    assert bbsmooth("verify", band.folder / "tuned").status == 0
    asked = band.asked
    assert tune(band, "--resume").status == 0
    assert band.asked == asked


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--sigma", "auto"), "--sigma must be auto, one number or several"),
        (("--budget", COST - 1), "cannot pay for the choice of --sigma"),
        (("--budget", COST + 1), "--budget"),
        (("--radius", 0.9), "cannot prove radius 0.9 with --sigma"),
    ],
)
def test_what_cannot_be_chosen_costs_nothing(band: Band, arguments: tuple[object, ...], says: str) -> None:
    done = tune(band, *arguments)
    assert done.status == 2
    assert says in done.line
    assert band.asked == 0
    assert not (band.folder / "tuned" / "manifest.json").exists()


def test_a_sigma_that_is_given_needs_no_pilot(band: Band) -> None:
    data = ("--data", f"npz:{band.folder / 'images.npz'}", "--budget", 0, "--out", band.folder / "tuned")
    done = bbsmooth("tune", "--oracle", band.oracle, *data, "--sigma", 0.1, "--pilot", 5)
    assert (done.status, "--pilot counts only where --sigma is to be chosen" in done.line) == (2, True)
    done = bbsmooth("tune", "--oracle", band.oracle, *data, "--sigma", "auto")
    assert (done.status, "--sigma is chosen for a radius: give --radius" in done.line) == (2, True)


@pytest.mark.slow
def test_the_choice_is_the_same_from_python(band: Band) -> None:
    tuned = bb.tune(
        band.oracle,
        band.pixels[:, None],
        band.labels,
        noise=[bb.Gaussian(sigma) for sigma in SIGMAS],
        radius=RADIUS,
        pilot=PILOT,
        pilot_draws=DRAWS,
        start=start(band),
        limit=250,
        budget=bb.Budget(queries=BUDGET),
        seed=0,
        run=band.folder / "there",
    )
    assert tuned.sigma == read(band, "manifest", "there")["sigma_choice"]["sigma"] in SIGMAS
    with pytest.raises(bb.UsageError, match="counts only where `sigma` is to be chosen"):
        bb.tune(
            band.oracle,
            band.pixels[:, None],
            band.labels,
            noise=bb.Gaussian(0.1),
            budget=bb.Budget(queries=0),
            seed=0,
            run=band.folder / "x",
            pilot=3,
        )


def forge_agreeing(run: Path, manifest: dict[str, Any], summary: dict[str, Any]) -> None:
    """Exchange the shares of the last two sigmas, and choose the other: only the answers say otherwise."""
    choice = manifest["sigma_choice"]
    most = max(row["images"] for row in choice["sigmas"])
    one, two = (row for row in choice["sigmas"] if row["images"] == most)
    swapped = {one["sigma"]: two["certified"], two["sigma"]: one["certified"]}
    rows = [row | {"certified": swapped.get(row["sigma"], row["certified"])} for row in choice["sigmas"]]
    (sigma,) = {one["sigma"], two["sigma"]} - {choice["sigma"]}
    forged = choice | {"sigma": sigma, "sigmas": rows}
    write_json(run / "summary.json", summary | {"sigma_choice": forged})
    manifest = manifest | {"sigma_choice": forged, "settings": manifest["settings"] | {"sigma": sigma}}
    write_json(run / "manifest.json", manifest | {"hashes": run_hashes(run, manifest)})


def test_another_sigma_than_the_pilot_chose_is_found(band: Band) -> None:
    assert tune(band).status == 0
    run, manifest, summary = band.folder / "tuned", read(band, "manifest"), read(band, "summary")
    done = bbsmooth("verify", run)
    assert (done.status, "right: and these from its images, seed and recorded answers\n" in done.out) == (0, True)
    choice = manifest["sigma_choice"]
    forge_agreeing(run, manifest, summary)
    done = bbsmooth("verify", run)
    assert done.status == 1
    assert f"the answers on record give {choice['sigma']}" in done.out
    write_json(run / "summary.json", summary)
    shutil.rmtree(run / "responses")
    write_json(run / "manifest.json", manifest)
    assert "not checked: and these from its images, seed and recorded answers: " in bbsmooth("verify", run).out
    other = next(sigma for sigma in SIGMAS if sigma != choice["sigma"])
    rows = [row | {"sigma": 2 * row["sigma"]} for row in choice["sigmas"]]
    least = [row | {"certified": row["certified"] | {"expected": 0.0}} for row in choice["sigmas"]]
    forged = [row if row["sigma"] != other else row | {"images": 10_000} for row in choice["sigmas"]]
    for changed, words in (
        ({"settings": manifest["settings"] | {"sigma": other}}, f"settings.sigma is {other}, the pilot says"),
        ({"sigma_choice": choice | {"sigma": other}}, f"sigma_choice.sigma is {other}, the pilot says"),
        ({"sigma_choice": choice | {"sigmas": rows}}, "settings.sigmas is"),
        ({"sigma_choice": choice | {"sigmas": forged}}, "the pilot asked"),
        ({"sigma_choice": choice | {"sigmas": least}}, "sigma_choice is not that of the manifest"),
        ({"sigma_choice": choice | {"radius": 9.0}}, "settings.radius is"),
        ({"sigma_choice": choice | {"queries": COST + 1}}, "queries were spent on the choice of sigma"),
        ({"sigma_choice": None}, "sigma_choice is missing"),
    ):
        write_json(
            run / "manifest.json", {key: value for key, value in (manifest | changed).items() if value is not None}
        )
        done = bbsmooth("verify", run)
        assert (done.status, words in done.out) == (1, True), (words, done.out)
    assert summary["sigma_choice"] == choice
