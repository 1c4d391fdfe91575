"""Published logs of Cohen et al. (2019) become runs; certified accuracies are those of the log and of the paper."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.bbsmooth.cli.world import World, bbsmooth

SIGMAS = ("0.25", "0.50", "1.00")
RADII = (0.0, 0.25, 0.5, 0.75, 1.0)


@pytest.fixture
def logs(shared: Path) -> dict[str, Path]:
    return {sigma: shared / "data" / "cohen" / f"cifar10_resnet110_sigma_{sigma}.tsv" for sigma in SIGMAS}


def by_hand(path: Path, radius: float) -> float:
    with path.open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    certified: int = sum(row["correct"] == "1" and float(row["radius"]) >= radius for row in rows)
    return certified / len(rows)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_certified_accuracies_are_those_of_the_log(logs: dict[str, Path], tmp_path: Path, sigma: str) -> None:
    done = bbsmooth("import-log", logs[sigma], "--out", tmp_path / "run", "--n0", 100, "--n", 100_000, "--json")
    found = json.loads(done.out)
    assert found["settings"]["sigma"] == float(sigma)
    curve = found["summary"]["certified_accuracy"]
    assert [row["value"] for row in curve] == [by_hand(logs[sigma], radius) for radius in RADII]
    assert found["summary"]["noisy_accuracy"] is None
    assert bbsmooth("verify", tmp_path / "run").status == 0


def test_the_best_over_sigmas_is_the_papers_table(logs: dict[str, Path], tmp_path: Path) -> None:
    curves = []
    for sigma, path in logs.items():
        found = json.loads(bbsmooth("import-log", path, "--out", tmp_path / sigma, "--json").out)
        curves.append([row["value"] for row in found["summary"]["certified_accuracy"]])
    best = [max(values) for values in zip(*curves, strict=True)]
    assert [round(value, 2) for value in best[1:]] == [0.60, 0.43, 0.32, 0.23]  # CIFAR-10, r = 0.25 to 1


def test_imported_runs_are_compared_pair_by_pair(logs: dict[str, Path], tmp_path: Path) -> None:
    for sigma in SIGMAS[:2]:
        bbsmooth("import-log", logs[sigma], "--out", tmp_path / sigma)
    rows = json.loads(bbsmooth("compare", tmp_path / "0.25", tmp_path / "0.50", "--json").out)["differences"]
    assert [row["images"] for row in rows] == [500] * 5
    assert [row["difference"] for row in rows] == pytest.approx(
        [by_hand(logs["0.25"], radius) - by_hand(logs["0.50"], radius) for radius in RADII]
    )


def test_our_own_log_comes_back(world: World) -> None:
    world.certify()
    log = world.folder / "sigma_0.25"
    bbsmooth("report", world.run, "--format", "tsv", "--out", log)
    out = world.folder / "imported"
    done = bbsmooth("import-log", log, "--out", out, "--alpha", "0.001")
    assert done.status == 0
    keys = ("index", "label", "predicted", "correct", "abstained", "radius")
    back = [{key: record[key] for key in keys} for record in world.certificates(out)]
    assert back == [{key: record[key] for key in keys} for record in world.certificates()]
    assert "2 runs side by side" in bbsmooth("compare", world.run, out, "--format", "md").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--alpha", "2"], "--alpha must lie between 0 and 1"),
        (["--n", "0"], "must be at least 1"),
        (["--radius", "-1"], "must not be negative"),
        (["--sigma", "-1"], "sigma must be a positive number"),
        (["--noise", "brown", "--sigma", "1"], "--noise must be one of"),
        ([], "give --sigma"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, arguments: list[str], message: str) -> None:
    log = tmp_path / "log"
    log.write_text("idx\tlabel\tpredict\tradius\tcorrect\ttime\n0\t1\t1\t0.5\t1\t1\n")
    done = bbsmooth("import-log", log, "--out", tmp_path / "run", *arguments)
    assert done.status == 2
    assert message in done.line
    assert not (tmp_path / "run").exists()
