"""Every study can be run as it stands, its tables say what its runs say, and no attack contradicts a certificate."""

from __future__ import annotations

import json
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import typer

from bbsmooth import data
from bbsmooth.certification.accuracy import share
from bbsmooth.cli.main import app
from bbsmooth.runs.certificates import CONFIDENCE
from experiments.peftsmoothing import run
from experiments.peftsmoothing.collecting import _certified, _paired, same_settings, with_earlier
from experiments.peftsmoothing.prepared import Prepared, write
from experiments.peftsmoothing.study import COLUMNS, SCALES, STUDIES, Row, Study
from experiments.peftsmoothing.table import document, write_tables

RESULTS = sorted(run.RESULTS.glob("*.json"))
AVAILABLE = [
    (path.stem, scale)
    for path in sorted(STUDIES.glob("*.toml"))
    for scale in SCALES
    if scale in tomllib.loads(path.read_text())
]


@pytest.mark.parametrize(("name", "scale"), AVAILABLE)
def test_every_command_of_a_study_is_one_that_bbsmooth_takes(name: str, scale: str) -> None:
    commands: Any = typer.main.get_command(app)
    for words in _commands(Study.read(name, scale)):
        commands.commands[words[0]].make_context(words[0], words[1:])  # raises what the command line would refuse


def _commands(study: Study) -> Iterator[list[str]]:
    for job in study.jobs(Path("runs")):
        yield from ([*shlex.split(words), "--out", str(out)] for words, out in job.steps)


@pytest.mark.parametrize(("name", "scale"), AVAILABLE)
def test_rows_build_on_earlier_rows_and_have_directories_of_their_own(name: str, scale: str) -> None:
    study = Study.read(name, scale)
    seen: list[str] = []
    for row in study.rows:
        assert {row.start, row.model_of} <= {None, *seen}
        seen.append(row.name)
    assert study.reference in (None, *seen)
    places = [job.place for job in study.jobs(Path("runs"))]
    assert len(places) == len(set(places))


def test_small_and_paper_differ_in_scale_alone() -> None:
    small, paper = (Study.read("methods", scale) for scale in ("small", "paper"))
    assert [row.train for row in small.rows] == [row.train for row in paper.rows]
    assert paper.scale["n"] == 10_000
    assert paper.scale["sigmas"] == [0.25, 0.5, 1.0]


def test_a_row_with_rates_becomes_one_row_for_each(tmp_path: Path) -> None:
    study = Study.read("rates", "small")
    trained = [row.train for row in study.rows if row.name.startswith("head")]
    assert trained == ["--method head --learning-rate 0.01", "--method head --learning-rate 0.03"]


def test_rows_of_most_worth_come_first_at_the_natural_scale() -> None:
    jobs = sorted(Study.read("methods", "natural").jobs(Path("runs")), key=lambda job: job.turn)
    telling = ["bare", "natural, 0 queries", "LoRA", "head", "full fine-tuning"]
    assert [(job.row, job.sigma, job.seed) for job in jobs[:5]] == [(name, 0.25, 0) for name in telling]
    turns = {(job.row, job.sigma, job.seed): job.turn for job in jobs}
    queries = "black-box behind natural, 20,000 queries"
    assert turns["LoRA", 0.25, 0] < turns[queries, 0.25, 0] < turns["LoRA", 0.5, 0] < turns["LoRA", 0.25, 1]


def test_a_denoiser_that_ships_stands_before_what_is_certified() -> None:
    job = next(one for one in Study.read("methods", "natural").jobs(Path("runs")) if one.row == "natural, 0 queries")
    assert job.coordinator == Path("natural")
    assert "--coordinator natural" in dict((out.name, words) for words, out in job.steps)["certify"]


def test_a_row_belongs_to_the_scales_that_it_names() -> None:
    small, natural = ({row.name for row in Study.read("methods", scale).rows} for scale in ("small", "natural"))
    assert "natural, 0 queries" in natural - small
    assert "denoiser, 0 queries" in small - natural


def test_held_out_images_are_those_after_the_ones_for_training(tmp_path: Path) -> None:
    write(Prepared(lambda: "mnist5k", 30, 10, held_out=True), tmp_path / "held.npz")
    write(Prepared(lambda: "mnist5k", 30, 10, held_out=False), tmp_path / "test.npz")
    digits, tested = (data.load("mnist5k", split=split) for split in data.Split)
    for name, other, first in (("held", digits, 30), ("test", tested, 0)):
        training, judging = (data.load(f"npz:{tmp_path / name}.npz", split=split) for split in data.Split)
        assert torch.equal(training.images(range(30)), digits.images(range(30)))
        assert torch.equal(judging.images(range(10)), other.images(range(first, first + 10)))
        assert judging.labels(range(10)).tolist() == other.labels(range(first, first + 10)).tolist()
        assert judging.classes == other.classes


def test_rows_and_noise_levels_are_chosen_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    natural = ["methods", "--scale", "natural", "--dry-run"]
    run.main([*natural, "--rows", "head", "bare", "--sigma", "0.5"])
    commands = [line for line in capsys.readouterr().out.splitlines() if line.startswith("$")]
    places = {line.partition("--out ")[2].rpartition("/")[0] for line in commands}
    assert places == {f"runs/peftsmoothing/natural/methods/{row}/sigma-0.5/seed-0" for row in ("bare", "head")}
    for wrong in (["--rows", "heads"], ["--sigma", "0.3"]):
        with pytest.raises(SystemExit, match="name some of these"):
            run.main([*natural, *wrong])


@pytest.mark.slow
def test_a_study_runs_once_and_writes_what_its_runs_say(tmp_path: Path) -> None:
    study = _tiny_study()
    result = tmp_path / "results" / "tiny.json"
    run.run(study, tmp_path / "runs", result, dry=False, at_once=2)
    first = json.loads(result.read_text())
    bare, natural, head, denoised, tuned, behind = first["rows"]
    assert (bare["trained_parameters"], bare["training_seconds"], bare["oracle_queries"]) == (0, 0, 0)
    assert head["trained_parameters"] == 650
    assert denoised["training_seconds"] > 0
    assert head["queries_per_image"] == 5 + 40
    assert 0 < tuned["oracle_queries"] <= 200
    assert 0 < behind["oracle_queries"] <= 200
    assert (natural["training_seconds"], natural["oracle_queries"]) == (0, 0)
    assert natural["noisy_accuracy"] != bare["noisy_accuracy"]
    assert bare["clean_accuracy"]["mean"] > 0.9
    certificates = tmp_path / "runs" / "head" / "sigma-0.5" / "seed-0" / "certify" / "certificates.jsonl"
    records = [json.loads(line) for line in certificates.read_text().splitlines()]
    certified = [record["correct"] and record["radius"] >= 0.25 for record in records]
    assert head["certified"][1]["mean"] == pytest.approx(sum(certified) / 6)
    assert head["difference"]["certified"][0]["mean"] == pytest.approx(
        head["certified"][0]["mean"] - bare["certified"][0]["mean"]
    )
    _check(first)
    before = certificates.stat().st_mtime_ns
    run.run(study, tmp_path / "runs", result, dry=False)
    assert json.loads(result.read_text()) == first
    assert certificates.stat().st_mtime_ns == before
    assert {path.suffix for path in result.parent.iterdir()} == {".json", ".md", ".tex", ".html"}
    assert "trained parameters" in result.with_suffix(".md").read_text()
    with pytest.raises(SystemExit, match="is of other settings"):
        run.run(study.on(data="digits"), tmp_path / "runs", result, dry=False)


def test_rows_whose_runs_are_not_here_stay_in_their_place() -> None:
    study = _tiny_study()
    before = {"rows": [_found("head", [0, 1]), _found("tuned", [0]), _found("of another study", [0])], "scale": {}}
    here = {"rows": [_found("bare", [0]), _found("head", [2]), _found("tuned", [3])], "title": "Tiny"}
    found = with_earlier(study, here, before)
    assert [(row["name"], row["seeds"]) for row in found["rows"]] == [("bare", [0]), ("head", [0, 1]), ("tuned", [3])]
    assert with_earlier(study, here, None) == here


def test_a_difference_from_other_seeds_of_the_reference_is_left_out() -> None:
    study = _tiny_study()  # whose reference is the bare row
    unnamed, of_both, of_one = {"noisy_accuracy": 0.1}, {"seeds": [0, 1]}, {"seeds": [0]}
    before = {"rows": [_found("bare", [0]), _found("natural", [0]) | {"difference": unnamed}], "scale": {}}
    here = {
        "rows": [
            _found("bare", [0, 1]),
            _found("head", [0]) | {"difference": of_both},
            _found("tuned", [0]) | {"difference": of_one},
        ]
    }
    found = {row["name"]: row.get("difference") for row in with_earlier(study, here, before)["rows"]}
    assert found == {"bare": None, "natural": None, "head": of_both, "tuned": None}
    alone = with_earlier(study, {"rows": []}, before)
    assert alone["rows"] == before["rows"]


def _found(name: str, seeds: list[int]) -> dict[str, Any]:
    return {"name": name, "sigma": 0.5, "seeds": seeds}


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_committed_result_can_be_gone_on_with(path: Path) -> None:
    name, scale = path.stem.rsplit("-", 1)
    assert same_settings(Study.read(name, scale), json.loads(path.read_text()))


def _tiny_study() -> Study:
    scale = {
        "model": "local-vit",
        "data": "mnist5k",
        "sigmas": [0.5],
        "seeds": [0],
        "epochs": 1,
        "train_options": "--train-images 64",
        "images": 6,
        "n0": 5,
        "n": 40,
        "radii": [0.0, 0.25],
        "attacked": 2,
        "attack_radii": [0.5],
        "attack_options": "--steps 2 --draws 4 --search 20 --judge 50",
        "judged": 60,
        "draws": 1,
    }
    rows = (
        Row(name="bare", scale={}),
        Row(name="natural", front="natural", scale={}),
        Row(name="head", train="--method head", scale={}),
        Row(name="denoised", tune="--budget 0 --pretrain-epochs 1 --train-images 64", scale={}),
        Row(name="tuned", tune="--budget 200 --train-images 64", start="denoised", scale={}),
        Row(name="behind", tune="--budget 200 --train-images 64 --start natural", scale={}),
    )
    return Study(name="tiny", title="Tiny", rows=rows, columns=COLUMNS, scale=scale, reference="bare")


def test_differences_are_paired_image_by_image() -> None:
    own = [[1.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0]]  # two seeds of four images
    other = [[1.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0]]
    found = _paired(own, other)
    assert found["mean"] == pytest.approx(0.25)  # of 0, 0.5, 0, 0.5
    assert found["error"] == pytest.approx(((4 * 0.25**2) / 3) ** 0.5 / 2)


def test_certified_accuracy_has_the_spread_of_seeds_and_the_interval_of_images() -> None:
    found = _certified([[0.5, None, 1.0, 0.2], [0.5, 0.5, 1.0, None]], 0.4)
    assert (found["mean"], found["deviation"]) == (pytest.approx(0.625), pytest.approx(0.125 * 2**0.5))
    around = share(2, 4, confidence=CONFIDENCE)  # 2.5 rounds to even
    assert (found["low"], found["high"]) == (around.low, around.high)


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_no_attack_found_anything_inside_a_certified_radius(path: Path) -> None:
    _check(json.loads(path.read_text()))


def _check(result: dict[str, Any]) -> None:
    for row in result["rows"]:
        assert row.get("contradictions", 0) == 0
        for one in row.get("attacked", []):
            assert one["certified"] <= one["empirical"]


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_the_tables_are_those_of_the_json(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    write_tables(copy)
    kept = {".md", ".tex", ".html"} if path.stem in ("methods-small", "methods-natural") else {".md", ".tex"}
    for suffix in kept:
        assert copy.with_suffix(suffix).read_text() == path.with_suffix(suffix).read_text()


def test_a_table_says_whose_parameters_it_counts() -> None:
    result = json.loads((run.RESULTS / "methods-small.json").read_text())
    assert "those of a coordinator, which stands before the classifier, are not among them" in document(result).lead
    trained = result | {"rows": [row for row in result["rows"] if row["trained_parameters"]]}
    assert "coordinator" not in document(trained).lead
