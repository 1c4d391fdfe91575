"""`bbsmooth certify` with other bounds, with splitting noise, and from the run of an earlier classifier."""

import json
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bbsmooth.certification.bounds.two_class import two_class_bounds
from bbsmooth.noise import Gaussian
from tests.bbsmooth.cli.world import World, bbsmooth

VALUES = 8 * 8


def verified(run: Path) -> None:
    done = bbsmooth("verify", run)
    assert done.status == 0, done


def tampered(world: World, name: str, change: float) -> None:
    """A run in which one number of the first line was changed does not verify, and not for the file's hash alone."""
    file = world.run / "certificates.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    place = lines[0] if name in lines[0] else lines[0]["details"]
    place[name] += change
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = bbsmooth("verify", world.run)
    assert done.status == 1
    assert "image 0" in done.out + done.err


def changed(world: World, by: str = "40") -> None:
    """The classifier in the file, with a sharper blade."""
    file = world.folder / "oracle.py"
    file.write_text(file.read_text().replace(f"-{by} *", "-60 *"))


def test_two_classes_are_bounded_and_recorded(world: World) -> None:
    assert world.certify("--bound", "two-class").status == 0
    for record in world.certificates():
        counts = {int(name): votes for name, votes in record["counts"].items()}
        lower, upper = two_class_bounds(record["selected"], counts, alpha=0.001)
        distance = record["total_variation"]
        assert record["bound"] == "two-class"
        assert record["p_lower"] == lower - distance
        assert record["details"] == {"p_upper": upper + distance}
        assert record["radius"] == Gaussian(0.25).radius_between(lower - distance, upper + distance)
    verified(world.run)
    tampered(world, "p_upper", -0.01)


def test_the_randomised_bound_is_the_same_in_every_run(world: World) -> None:
    assert world.certify("--bound", "randomised", "--batch-size", "7").status == 0
    again = world.folder / "again"
    assert world.certify("--bound", "randomised", "--concurrency", "4", out=again).status == 0
    assert world.certificates() == world.certificates(again)
    numbers = [record["details"]["uniform"] for record in world.certificates()]
    assert len(set(numbers)) == len(numbers)
    plain = world.undisturbed()
    assert all(new["p_lower"] > old["p_lower"] for new, old in zip(world.certificates(), plain, strict=True))
    verified(world.run)
    tampered(world, "uniform", 0.01)


def test_radii_are_told_in_every_norm(world: World) -> None:
    assert world.certify().status == 0
    for record in world.certificates():
        assert record["radius"] == record["radius_l2"] == record["radius_l1"]
        assert record["radius_linf"] == pytest.approx(record["radius"] / sqrt(VALUES))
    tampered(world, "radius_linf", 0.01)


def test_splitting_noise_asks_all_views_and_leaves_nothing_to_chance(world: World) -> None:
    assert world.certify("--noise", "splitting", "--sigma", "0.1").status == 0
    for record in world.certificates():
        votes = record["counts"].get(str(record["selected"]), 0)
        assert (record["method"], record["norm"], record["alpha"], record["n0"], record["n"]) == (
            "splitting", "l1", 0.0, 0, 88,
        )  # fmt: skip
        assert record["radius"] == record["radius_l1"] == (votes - (88 - votes)) / 510
        assert record["radius_linf"] == pytest.approx(record["radius"] / VALUES)
    assert world.asked.total() == 6 * 88
    assert max(world.asked.values()) == 1
    verified(world.run)
    assert bbsmooth("report", world.run).status == 0
    again = world.resumed("--noise", "splitting", "--sigma", "0.1")
    assert (again.status, world.asked.total()) == (0, 6 * 88)
    reusing = world.folder / "reusing"
    assert world.certify("--noise", "splitting", "--sigma", "0.1", "--reuse", world.run, out=reusing).status == 0
    assert (world.asked.total(), world.certificates(reusing)) == (6 * 88, world.certificates())
    tampered(world, "radius", 0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bound", "best"], "--bound must be one of clopper-pearson, randomised, two-class, got 'best'"),
        (["--bound", "two-class", "--method", "sequential"], "--bound two-class goes with --method cohen"),
        (["--noise", "splitting", "--method", "sequential"], "--noise splitting is a method of its own"),
        (["--noise", "splitting", "--sigma", "0.0001"], "--sigma must be at least"),
        (["--method", "splitting"], "--noise splitting is a method of its own"),
        (["--method", "incremental"], "name it with --incremental-from"),
        (["--noise", "pink"], "--noise must be one of gaussian, laplace, uniform, splitting, got 'pink'"),
    ],
)
def test_what_does_not_go_together_is_refused(world: World, arguments: list[str], message: str) -> None:
    done = world.certify(*arguments)
    assert done.status == 2
    assert message in done.line
    assert not world.asked


def test_splitting_noise_is_for_certification_alone(world: World) -> None:
    done = bbsmooth(
        "predict", "--oracle", world.oracle(), "--sigma", "0.1", "--noise", "splitting", world.folder / "none.png"
    )
    assert done.status == 2


def test_a_changed_classifier_is_certified_from_the_earlier_run(world: World) -> None:
    earlier = world.folder / "earlier"
    assert world.certify("--n", "400", out=earlier).status == 0
    before, asked = world.certificates(earlier), world.asked.total()
    changed(world)
    assert world.certify("--n", "100", "--incremental-from", earlier).status == 0
    assert world.asked.total() - asked == 6 * 100
    for old, new in zip(before, world.certificates(), strict=True):
        assert (new["method"], new["n0"], new["n"]) == ("incremental", 0, 100)
        assert (new["earlier_n0"], new["earlier_n"]) == (10, 400)
        assert new["selected"] == old["selected"]
        assert new["details"]["earlier_votes"] == old["counts"][str(old["selected"])]
        assert new["details"]["earlier_selection_votes"] == old["selection_votes"]
    verified(world.run)
    summary = json.loads((world.run / "summary.json").read_text())["incremental"]
    assert summary["pays"] == (summary["mean_radius"] > summary["mean_radius_by_votes_alone"])
    lost = [new["details"]["lost"] / 100 for new in world.certificates()]
    assert summary["lost"] == pytest.approx(sum(lost) / 6)
    again = world.resumed("--n", "100", "--incremental-from", earlier)
    assert (again.status, world.asked.total() - asked) == (0, 600)
    tampered(world, "lost", 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed", "1"], "was made with --seed 0, not 1, so its draws are others"),
        (["--sigma", "0.5"], "was made with --sigma 0.25, not 0.5, so its draws are others"),
        (["--n", "40"], "--n must be below the earlier 40, got 40"),
        (["--limit", "6", "--n", "20"], "certified 5 images, so --limit must not be 6"),
        (["--method", "sequential", "--radius", "0.1"], "--incremental-from is a method of its own"),
        (["--reuse", "other"], "give one of them"),
    ],
)
def test_an_earlier_run_that_does_not_fit_is_refused(world: World, arguments: list[str], message: str) -> None:
    earlier = world.folder / "earlier"
    assert world.certify("--limit", "5", out=earlier).status == 0
    changed(world)
    asked = world.asked.total()
    done = world.certify("--n", "20", "--incremental-from", earlier, *arguments)
    assert done.status == 2
    assert message in done.line
    assert world.asked.total() == asked


def test_a_classifier_that_was_not_changed_is_not_certified_again_with_fewer_draws(world: World) -> None:
    """Whoever has seen all votes could choose the number at which they look best: as `reuse` would not allow."""
    earlier = world.folder / "earlier"
    assert world.certify("--limit", "5", out=earlier).status == 0
    asked = world.asked.total()
    done = world.certify("--n", "20", "--incremental-from", earlier)
    assert done.status == 2
    assert "are a second chance to be wrong" in done.line
    assert world.asked.total() == asked


def test_an_earlier_run_on_other_images_or_of_another_kind_is_refused(world: World, tmp_path: Path) -> None:

    earlier = world.folder / "earlier"
    assert world.certify("--method", "sequential", "--radius", "0.1", out=earlier).status == 0
    kind = world.certify("--n", "20", "--incremental-from", earlier)
    assert (kind.status, "--method cohen" in kind.line) == (2, True)
    other = world.folder / "other"
    assert world.certify(out=other).status == 0
    arrays: dict[str, Any] = dict(np.load(world.folder / "images.npz"))
    np.savez(world.folder / "images.npz", x=255 - arrays["x"], y=arrays["y"])
    images = world.certify("--n", "20", "--incremental-from", other)
    assert (images.status, "was made with other images" in images.line) == (2, True)
