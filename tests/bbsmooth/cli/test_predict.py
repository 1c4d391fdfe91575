"""`bbsmooth predict`: one line an image, and what happens to what was paid for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bbsmooth.cli.world import Outcome, World, bbsmooth, picture


@pytest.fixture
def images(world: World) -> list[Path]:
    return [picture(world.folder / name) for name in ("a.png", "b.png")]


def predict(world: World, *arguments: object) -> Outcome:
    return bbsmooth("predict", "--oracle", world.oracle(), "--sigma", 0.25, "--n", 20, *arguments)


def test_a_line_for_each_image(world: World, images: list[Path]) -> None:
    done = predict(world, *images)
    assert done.status == 0
    assert done.out.splitlines() == [f"{image}\t0\t20 of 20 votes, p = 1.9e-06" for image in images]
    assert done.err == ""


def test_a_name_of_a_class_forges_no_line_and_reaches_no_terminal(world: World, images: list[Path]) -> None:
    oracle = world.oracle("bright", "classes=%1B[2J0%0Ab.png%09cat,dog&image_shape=1x8x8")
    done = predict(world, "--oracle", oracle, images[0])
    assert done.out == f"{images[0]}\t[2J0 b.png cat\t20 of 20 votes, p = 1.9e-06\n"


def test_json_holds_the_same(world: World, images: list[Path]) -> None:
    done = predict(world, "--json", *images)
    first = json.loads(done.out)["predictions"][0]
    assert (first["file"], first["predicted"], first["abstained"]) == (str(images[0]), 0, False)
    assert first["counts"] == {"0": 20}


def test_votes_that_could_predict_nothing_are_not_paid_for(world: World, images: list[Path]) -> None:
    done = predict(world, "--n", 3, images[0])
    assert done.status == 2
    assert "3 votes at --alpha 0.001 can predict nothing, even if all agree: --n must be at least 11" in done.line
    assert not world.asked.total()


def test_answers_are_kept_only_in_a_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world.folder)  # names that are short enough not to be folded
    images = [picture(Path(name)) for name in ("a.png", "b.png")]
    out = ["--out", world.run]
    stopped = predict(world, *out, "--budget", 30, *images)
    assert stopped.status == 3
    assert stopped.out.startswith(f"{images[0]}\t0")
    assert f"everything so far is saved in {world.run}" in stopped.line
    resumed = predict(world, *out, "--budget", 40, "--resume", *images)
    assert resumed.status == 0
    assert len(resumed.out.splitlines()) == 2
    assert len(world.asked) == world.asked.total() == 40
    report = bbsmooth("report", world.run).out
    assert str(images[1]) in report
    assert "queries spent: 40 (predict 40), 0 left" in report
    assert "was begun with the image files" in predict(world, *out, "--resume", images[0]).line
    assert "saved" not in predict(world, "--budget", 30, *images).line


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nowhere.png"], "nowhere.png is not a file; give the paths of image files"),
        (["--n", "0"], "--n must be at least 1, got 0"),
        (["--alpha", "2"], "--alpha must lie between 0 and 1, got 2.0"),
        (["--sigma", "0"], "--sigma must be a positive number, got 0.0"),
        (["--sigma", "10000"], "--sigma must be below"),
        (["--budget", "19"], "a budget of 19 queries cannot pay for one image: --n = 20"),
        (["--coordinator", "nowhere"], "nowhere holds no coordinator.safetensors"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_work_is_refused_in_one_line(
    world: World, images: list[Path], arguments: list[str], expected: str
) -> None:
    done = predict(world, "--out", world.run, *images, *arguments)
    assert done.status == 2
    assert expected in done.line
    assert world.asked.total() == 0
    assert not world.run.exists()


def test_what_is_no_image_is_named(world: World, images: list[Path]) -> None:
    (world.folder / "c.png").write_text("no image")
    done = predict(world, *images, world.folder / "c.png")
    assert done.status == 2
    assert f"{world.folder / 'c.png'} is not a readable image" in done.line
    assert "is not a file" in predict(world, world.folder).line
    assert "IMAGE" in predict(world).line
    assert world.asked.total() == 0


def test_an_abstention_says_that_the_votes_name_no_class(world: World, images: list[Path]) -> None:
    oracle = world.oracle("bright", "classes=(none%20of%20these),dog&image_shape=1x8x8")
    done = predict(world, "--oracle", oracle, images[0])
    assert done.out.startswith(f"{images[0]}\tabstains\t20 of 20 votes, p = 1.9e-06 (most votes name no class: ")
