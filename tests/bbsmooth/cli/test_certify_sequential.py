"""`bbsmooth certify --method sequential`, budgets that bind, shared levels, and answers used again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bbsmooth.certification.sequences import TESTS
from tests.bbsmooth.cli.world import Outcome, World, bbsmooth

IMAGES = 12


@pytest.fixture
def many(world: World) -> World:
    """A world with images from dark to bright, some of them close to the middle."""
    generator = np.random.default_rng(3)
    means = np.linspace(60, 195, IMAGES)
    pixels = generator.integers(-20, 20, (IMAGES, 8, 8)) + means[:, None, None]
    np.savez(world.folder / "images.npz", x=pixels.astype(np.uint8), y=(means > 127).astype(np.int64))
    return world


def sequential(world: World, *arguments: object, **named: Any) -> Outcome:
    return world.certify("--method", "sequential", "--n", 1_000, "--n0", 20, *arguments, **named)


def by_index(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(lines, key=lambda line: int(line["index"]))


def test_radii_are_decided_and_each_line_proves_it(many: World) -> None:
    done = sequential(many, "--radius", 0, "--radius", 0.1, "--radius", 0.3, "--json")
    assert done.status == 0
    found = json.loads(done.out)
    rows = found["summary"]["decisions"]
    assert [row["radius"] for row in rows] == [0.0, 0.1, 0.3]
    assert all(row["certified"] + row["refuted"] + row["undecided"] == IMAGES for row in rows)
    assert rows[0]["certified"] > rows[2]["certified"] > 0
    assert rows[2]["refuted"] > 0
    low, high = (found["summary"]["acr_interval"][key] for key in ("low", "high"))
    assert low < found["summary"]["acr"] < high
    lines = many.certificates()
    assert [line["index"] for line in lines] == list(range(IMAGES))
    for line in lines:
        assert (line["method"], line["cap"], line["beta"]) == ("sequential", 1_000, 0.01)
        assert line["test"] in TESTS
        assert line["queries"] == 20 + line["n"]
        assert sum(line["counts"].values()) == line["n"]
    assert np.mean([line["queries"] for line in lines]) < 600
    assert bbsmooth("verify", many.run).status == 0


def test_a_radius_that_the_cap_can_only_refute_is_named_before_it_is_paid_for(many: World) -> None:
    arguments = ("--sigma", 0.25, "--radius", 0.25, "--radius", 0.5, "--limit", 3)
    done = sequential(many, *arguments, "--n", 300)
    assert done.status == 0
    assert "--n 300 is too small to certify radius 0.5, even if all votes agree: it can only be refuted" in done.err
    assert not any(line["decisions"][1]["state"] == "certified" for line in many.certificates())
    nothing = sequential(many, *arguments, "--n", 9, out=many.folder / "nothing")
    assert (nothing.status, (many.folder / "nothing").exists()) == (2, False)
    assert "9 draws at --alpha 0.001 can prove nothing" in nothing.line


def test_without_a_radius_it_grows(many: World) -> None:
    assert sequential(many, "--tolerance", 0.4, "--limit", 4, "--json").status == 0
    assert {line["method"] for line in many.certificates()} == {"adaptive"}
    assert {line["tolerance"] for line in many.certificates()} == {0.4}
    assert any(line["n"] < 1_000 for line in many.certificates())
    assert bbsmooth("verify", many.run).status == 0


@pytest.mark.parametrize("radii", [["--radius", 0.1, "--radius", 0.3], []], ids=["decided", "grown"])
def test_neither_batches_nor_threads_nor_the_order_change_a_certificate(many: World, radii: list[object]) -> None:
    found = set()
    for number, extra in enumerate(
        [
            ["--batch-size", 1, "--concurrency", 1],
            ["--batch-size", 1_024, "--concurrency", 8],
            ["--batch-size", 64, "--concurrency", 8, "--budget", 1_000_000],
            ["--batch-size", 64, "--concurrency", 2, "--budget", 1_000_000, "--allocation", "round-robin"],
        ]
    ):
        out = many.folder / f"run{number}"
        assert sequential(many, "--limit", 5, "--n", 150, *radii, *extra, function="bright", out=out).status == 0
        found.add(json.dumps(by_index(many.certificates(out))))
    assert len(found) == 1


def test_a_budget_that_binds_decides_what_is_cheap_and_goes_on_later(many: World) -> None:
    undisturbed = many.folder / "undisturbed"
    assert sequential(many, "--radius", 0.2, function="bright", out=undisturbed).status == 0
    expected = by_index(many.certificates(undisturbed))
    budget = sum(line["queries"] for line in expected) // 4
    stopped = sequential(many, "--radius", 0.2, "--budget", budget)
    assert stopped.status == 3
    assert "stopped by the budget" in stopped.line
    assert many.asked.total() == budget
    decided = many.certificates()
    assert 2 <= len(decided) < IMAGES
    assert all(line == expected[line["index"]] for line in decided)
    refused = sequential(many, "--resume", "--radius", 0.3, "--budget", 100_000)
    assert refused.status == 2
    assert "was begun with --radius" in refused.line
    assert sequential(many, "--resume", "--radius", 0.2, "--budget", 100_000, "--allocation", "uniform").status == 0
    assert by_index(many.certificates()) == expected
    assert set(many.asked.values()) == {1}


def test_an_interrupted_run_goes_on(many: World) -> None:
    extra = ("--method", "sequential", "--n", "600", "--radius", "0.2")
    undisturbed = many.folder / "undisturbed"
    assert many.certify(*extra, function="bright", out=undisturbed).status == 0
    (many.folder / "broken").touch()
    stopped = many.certify(*extra, "--concurrency", 1, function="fragile")
    assert stopped.status == 4
    (many.folder / "broken").unlink()
    assert many.resumed(*extra, function="fragile").status == 0
    assert many.certificates() == many.certificates(undisturbed)
    assert set(many.asked.values()) == {1}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--beta", "0"], "--alpha and --beta must lie between 0 and 1, got 0.001 and 0.0"),
        (["--radius", "inf"], "--radius must be finite, got inf"),
        (["--tolerance", "0"], "--alpha, --beta and --tolerance must lie between 0 and 1"),
        (
            ["--allocation", "fair", "--budget", "100"],
            "--allocation must be one of cheapest, uniform, round-robin, in-turn, got 'fair'",
        ),
        (["--family-wise", "sidak"], "--family-wise must be one of bonferroni, holm, got 'sidak'"),
        (["--family-wise", "holm"], "--family-wise holm compares p-values at the end"),
        (["--false-discovery-rate", "1"], "--false-discovery-rate must lie between 0 and 1, got 1.0"),
        (["--false-discovery-rate", "0.0001"], "--false-discovery-rate must be at least --alpha (0.001), got 0.0001"),
        (["--false-discovery-rate", "0.1", "--family-wise", "bonferroni"], "give one of them"),
        (["--budget", "20", "--radius", "0.2"], "--n0 + 1 = 21"),
        (["--reuse", "nowhere"], "nowhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_work_is_refused_in_one_line(many: World, arguments: list[str], expected: str) -> None:
    done = sequential(many, *(["--radius", "0.2"] if arguments[0] == "--beta" else []), *arguments)
    assert done.status == 2
    assert expected in done.line
    assert many.asked.total() == 0
    assert not many.run.exists()


def test_a_bounded_share_of_wrong_certificates_issues_all_or_none(many: World) -> None:
    rate = ("--alpha", 0.01, "--radius", 0.1, "--sigma", 2, "--n", 20, "--false-discovery-rate")
    many.certify(*rate, 0.9, "--json")
    summary = json.loads((many.run / "summary.json").read_text())
    certified = summary["false_discovery"]["certified"]
    assert summary["false_discovery"] == {
        "rate": 0.9, "alpha": 0.01, "images": IMAGES, "certified": certified, "needed": 1, "issued": True
    }  # fmt: skip
    assert 0 < certified < IMAGES
    grown = many.resumed(*rate, 0.9, "--limit", 3)
    assert (grown.status, "was begun with --limit" in grown.line) == (2, True)

    few = many.folder / "few"
    lines = many.certificates()
    assert many.certify(*rate, 0.01, "--json", out=few).status == 0
    assert [line["radius"] for line in many.certificates(few)] == [line["radius"] for line in lines]
    found = json.loads((few / "summary.json").read_text())
    assert not found["false_discovery"]["issued"]
    assert found["false_discovery"]["needed"] == IMAGES
    assert found["reasons"]["false discovery"] == certified
    assert found["certified"][0]["value"] == 0
    assert "not issued" in bbsmooth("report", few, "--format", "text").out
    assert "No certificate is issued" in bbsmooth("report", few, "--format", "md").out
    rows = [line.split("\t") for line in bbsmooth("report", few, "--format", "tsv").out.splitlines()[1:]]
    assert {row[2] for row in rows} == {"-1"}
    assert bbsmooth("verify", few).status == 0
    for changes, word in ((("--limit", 4), "--limit"), ((), "--false-discovery-rate")):
        again = many.certify(*rate, 0.01 if changes else 0.9, *changes, "--reuse", few, out=many.folder / "again")
        assert (again.status, word in again.line) == (2, True), again.err


def test_a_level_shared_by_all_images_stands_in_every_line(many: World) -> None:
    done = many.certify("--family-wise", "holm", "--alpha", 0.06, "--radius", 0.1, "--json")
    summary = json.loads(done.out)["summary"]
    assert {line["alpha"] for line in many.certificates()} == {0.06 / IMAGES}
    assert summary["family_wise"]["method"] == "holm"
    (row,) = summary["family_wise"]["certified"]
    assert summary["certified"][0]["value"] * IMAGES <= row["images"] <= IMAGES
    grown = many.resumed("--family-wise", "holm", "--alpha", 0.06, "--radius", 0.1, "--limit", 3)
    assert grown.status == 2
    assert "was begun with --limit" in grown.line
    assert (
        sequential(many, "--family-wise", "bonferroni", "--radius", 0.1, "--limit", 4, out=many.folder / "other").status
        == 0
    )
    assert {line["alpha"] for line in many.certificates(many.folder / "other")} == {0.001 / 4}


def reused(world: World, *arguments: object) -> Outcome:
    return world.certify(*arguments, "--reuse", world.run, out=world.folder / "again")


def test_a_sequential_run_goes_on_beyond_its_cap_from_what_it_was_told(many: World) -> None:
    first = ["--method", "sequential", "--n0", 20, "--n", 200, "--radius", 0.2]
    assert many.certify(*first).status == 0
    undecided = [line["index"] for line in many.certificates() if line["decisions"][0]["state"] == "undecided"]
    assert undecided
    asked = many.asked.total()
    done = reused(many, *first, "--n", 3_000, "--alpha", 0.0005)
    assert done.status == 0
    assert set(many.asked.values()) == {1}
    ledger = json.loads((many.folder / "again" / "ledger.json").read_text())
    assert ledger["spent_total"] == many.asked.total() - asked
    anew = many.folder / "anew"
    assert many.certify(*first, "--n", 3_000, "--alpha", 0.0005, function="bright", out=anew).status == 0
    lines = many.certificates(many.folder / "again")
    assert lines == many.certificates(anew)
    assert sum(line["decisions"][0]["state"] == "undecided" for line in lines) < len(undecided)
    manifest = json.loads((many.folder / "again" / "manifest.json").read_text())
    assert manifest["reused"]["settings"]["num_estimation"] == 200
    assert many.certify("--resume", *first, "--n", 3_000, "--alpha", 0.0005, out=many.folder / "again").status == 0


def test_a_fixed_number_may_be_read_at_another_level_and_at_other_radii(many: World) -> None:
    assert many.certify("--limit", 4).status == 0
    asked = many.asked.total()
    done = reused(many, "--limit", 6, "--alpha", 0.05, "--radius", 0.123, "--json")
    assert done.status == 0
    assert many.asked.total() == asked + 2 * 50
    assert json.loads(done.out)["summary"]["certified_accuracy"][0]["radius"] == 0.123


@pytest.mark.parametrize(
    ("first", "then", "expected"),
    [
        ([], ["--n", 60], "was made with --n 40, not 60: its bound holds for a number of draws fixed before"),
        ([], ["--n0", 11], "was made with --n0 10, not 11: the class would be chosen again"),
        ([], ["--seed", 1], "was made with --seed 0, not 1: its draws or answers are others"),
        ([], ["--sigma", 0.5], "was made with --sigma 0.25, not 0.5"),
        ([], ["--method", "sequential", "--radius", 0.1], "was made with --method cohen, not sequential"),
        (
            ["--method", "sequential", "--radius", 0.1],
            ["--method", "sequential", "--radius", 0.2],
            "was made with --radius [0.1], not [0.2]: each certificate counts on every smaller radius",
        ),
        (
            ["--method", "sequential"],
            ["--method", "sequential", "--tolerance", 0.05],
            "was made with --tolerance 0.02, not 0.05: when it looks at the votes was fixed",
        ),
        (
            ["--method", "sequential", "--family-wise", "bonferroni"],
            ["--method", "sequential", "--family-wise", "bonferroni", "--limit", 2],
            "shared alpha among 1 images, not 2: when it looks at the votes was fixed",
        ),
    ],
)
def test_answers_are_not_used_again_where_that_would_void_the_guarantee(
    many: World, first: list[object], then: list[object], expected: str
) -> None:
    assert many.certify(*first, "--limit", 1).status == 0
    asked = many.asked.total()
    done = reused(many, "--limit", 1, *then)
    assert done.status == 2
    assert expected in done.line
    assert many.asked.total() == asked
    assert not (many.folder / "again").exists()


def test_answers_of_another_classifier_are_not_used(many: World) -> None:
    assert many.certify("--limit", 1).status == 0
    done = many.certify("--limit", 1, "--reuse", many.run, function="bright", out=many.folder / "again")
    assert done.status == 2
    assert "the oracle of" in done.line
    image = Path(many.folder / "a.png")
    assert bbsmooth("certify", *many.arguments(), "--reuse", image.parent, "--out", many.folder / "again").status == 2
