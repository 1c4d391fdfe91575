"""`bbsmooth certify`: results, and each way of ending."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import norm

from bbsmooth.runs.certificates import read_summary
from bbsmooth.runs.directory import RunDirectory
from bbsmooth.runs.files import write_json
from tests.bbsmooth.cli.world import SmallDisk, World, bbsmooth, killed, picture
from tests.waiting import LONG

QUERIES = 50  # of one image
ALL = 6 * QUERIES


def test_a_run_says_what_was_proven_and_what_it_cost(world: World) -> None:
    done = world.certify("--limit", 4, "--radius", 0.1, "--radius", 0)
    assert done.status == 0
    assert done.err == ""
    assert "4 images, 0 abstentions" in done.out
    assert f"queries spent: {4 * QUERIES} (select 40, estimate 160)" in done.out
    assert world.asked.total() == 4 * QUERIES
    assert {path.name for path in world.run.iterdir()} == {
        "manifest.json",
        "commitment.json",
        "ledger.json",
        "responses",
        "certificates.jsonl",
        "summary.json",
    }
    record = world.certificates()[3]
    assert (record["index"], record["label"], record["predicted"], record["correct"]) == (3, 1, 1, True)
    assert record["radius"] > 0
    assert record["queries"] == QUERIES


def test_json_is_one_object_and_nothing_else(world: World) -> None:
    done = world.certify("--json", "--limit", 1)
    found = json.loads(done.out)
    assert (found["status"], found["summary"]["certificates"]) == ("done", 1)
    assert found["ledger"]["spent_total"] == QUERIES


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--sigma", "0"], "--sigma must be a positive number, got 0.0"),
        (["--sigma", "-1"], "--sigma must be a positive number, got -1.0"),
        (["--sigma", "nan"], "--sigma must be a positive number, got nan"),
        (["--sigma", "10000"], "--sigma must be below"),
        (["--sigma", "much"], "'--sigma'"),
        (["--alpha", "0"], "--alpha must lie between 0 and 1, got 0.0"),
        (["--alpha", "1"], "--alpha must lie between 0 and 1, got 1.0"),
        (["--n", "0"], "must be at least 1, got 10 and 0"),
        (["--n0", "0"], "must be at least 1, got 0 and 40"),
        (["--limit", "0"], "--limit must be at least 1 image, got 0"),
        (["--radius", "-1"], "--radius must not be negative, got -1.0"),
        (["--noise", "salt"], "--noise must be one of gaussian"),
        (["--method", "guess"], "--method must be"),
        (["--batch-size", "0"], "--batch-size must be at least 1, got 0"),
        (["--concurrency", "0"], "'--concurrency'"),
        (["--budget", "49"], "a budget of 49 queries cannot pay for one image: --n0 + --n = 50"),
        (["--budget", "-1"], "--budget must be a number of at least 0, got -1"),
        (["--price", "-1"], "--price must be a number of at least 0, got -1.0"),
        (["--price", "nan"], "--price must be a number of at least 0, got nan"),
        (["--max-price", "1"], "--max-price needs --price"),
        (["--price", "2", "--max-price", "0.05"], "a budget of 25 queries cannot pay for one image"),
        (["--oracle", "local-vitt"], "no oracle is called 'local-vitt'; did you mean local-vit?"),
        (["--oracle", "module:nowhere.py:f"], "no such file: nowhere.py"),
        (["--oracle", "timm:resnet18", "--model", "resnet18"], "--model goes with --oracle local-vit only"),
        (["--oracle", "local-vit", "--device", "abacus"], "device must be auto, cpu, cuda"),
        (["--data", "digts"], "no data set is called 'digts'; use digits"),
        (["--data", "npz:nowhere.npz"], "nowhere.npz is not a readable .npz archive"),
        (["--data", "folder:nowhere"], "nowhere is not a folder"),
        (["--data", "digits"], "the data's 10 classes do not match the oracle's 2: '2' is none of 0, 1"),
        (["--oracle", "local-vit"], "images of shape (1, 8, 8), the oracle wants (1, 28, 28); add --resize"),
        (["--resize"], "--resize needs to know which images"),
        (["--out", ""], "--out is empty; name the run directory"),
        (["--coordinator", "nowhere"], "nowhere holds no coordinator.safetensors; name the directory"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_work_is_refused_in_one_line(world: World, arguments: list[str], expected: str) -> None:
    done = world.certify(*arguments)
    assert done.status == 2
    assert done.out == ""
    assert done.line.startswith("error: ")
    assert expected in done.line
    assert world.asked.total() == 0
    assert not world.run.exists()


def test_a_refusal_is_one_object_where_json_is_asked_for(world: World) -> None:
    done = world.certify("--json", "--sigma", 0)
    assert json.loads(done.out) == {"error": done.line, "exit_status": 2}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([], "holds no images"),
        (["0/a.png", "0/notes.txt"], "notes.txt is not an image by its name"),
        (["0/a.png", "0/broken.png"], "broken.png is not a readable image"),
        (["0/a.png", "0/large.png"], "large.png has shape (1, 9, 9) among images of shape (1, 8, 8)"),
        (["cat/a.png", "dog/b.png", "owl/c.png"], "'cat' is none of 0, 1; give both the same names"),
    ],
)
def test_a_folder_that_cannot_be_used_costs_nothing(world: World, files: list[str], expected: str) -> None:
    folder = world.folder / "photos"
    folder.mkdir()
    for name in files:
        picture(folder / name.replace(".txt", ".png"), 9 if "large" in name else 8)
        if "notes" in name or "broken" in name:
            (folder / name.replace(".txt", ".png")).unlink()
            (folder / name).write_text("no image")
    done = world.certify("--data", f"folder:{folder}")
    assert done.status == 2
    assert expected in done.line
    assert world.asked.total() == 0
    assert not world.run.exists()


def test_unlabelled_images_are_certified(world: World) -> None:
    for name in ("a.png", "b.png"):
        picture(world.folder / "photos" / name)
    done = world.certify("--data", f"folder:{world.folder / 'photos'}", "--json")
    summary = json.loads(done.out)["summary"]
    assert [(record["label"], record["correct"]) for record in world.certificates()] == [(None, None)] * 2
    assert (summary["certified_accuracy"], summary["acr"]) == (None, None)
    assert summary["certified"][0]["value"] == 1.0
    assert "certified answers" in bbsmooth("report", world.run).out


def test_names_of_classes_match_without_regard_to_case(world: World) -> None:
    for name in ("Dark", "Bright"):
        picture(world.folder / "photos" / name / f"{name}.png")
    oracle = world.oracle("counted", "classes=dark,bright")
    assert world.certify("--data", f"folder:{world.folder / 'photos'}", "--oracle", oracle).status == 0
    assert [record["label"] for record in world.certificates()] == [1, 0]


def test_an_open_set_of_classes_is_named_in_files(world: World) -> None:
    done = world.certify("--oracle", world.oracle("counted", "deterministic=true"), "--limit", 4)
    assert done.status == 0
    assert [record["predicted"] for record in world.certificates()] == ["0", "0", "0", "1"]


def test_images_are_resized_where_asked(world: World) -> None:
    oracle = world.oracle("counted", "num_classes=2&image_shape=3x5x5")
    assert world.certify("--oracle", oracle).status == 2
    assert world.certify("--oracle", oracle, "--resize", "--limit", 1).status == 0


def test_a_budget_that_ends_first_keeps_what_it_bought(world: World) -> None:
    stopped = world.certify("--budget", 130)
    assert stopped.status == 3
    assert "50 more queries to finish image 2 do not fit, 30 are left" in stopped.line
    assert f"everything so far is saved in {world.run}" in stopped.line
    assert "with a larger --budget (or --max-price, --max-attempts) and --resume" in stopped.line
    assert len(world.certificates()) == 2
    assert world.status() == "stopped by the budget"
    assert world.resumed("--budget", 100).status == 3  # already spent
    assert world.resumed("--budget", 299).status == 3
    assert world.resumed("--budget", 300).status == 0
    assert world.certificates() == world.undisturbed()
    assert len(world.asked) == world.asked.total() == ALL == world.ledger()["spent_total"]
    again = world.resumed("--budget", 300)
    assert again.status == 0
    assert world.asked.total() == ALL


def test_a_price_is_a_budget_too(world: World) -> None:
    stopped = world.certify("--price", 10, "--max-price", 1.2)
    assert stopped.status == 3
    assert world.asked.total() == 100
    assert world.ledger()["price"] == 1.0
    assert "price 1.00" in bbsmooth("report", world.run).out


def test_a_run_grows_by_its_limit_and_never_shrinks(world: World) -> None:
    world.certify("--limit", 2)
    shrunk = world.resumed("--limit", 1, "--json")
    assert json.loads(shrunk.out)["summary"] | {"seconds": 0} == json.loads(shrunk.out)["summary"] | {
        "images": 2,
        "certificates": 2,
        "complete": True,
        "seconds": 0,
    }
    assert world.resumed("--limit", 6).status == 0
    assert world.certificates() == world.undisturbed()


def test_an_oracle_that_breaks_stops_the_run_and_loses_nothing(world: World) -> None:
    (world.folder / "broken").touch()
    stopped = world.certify("--concurrency", 1, function="fragile")
    assert stopped.status == 4
    assert "oracle.py:fragile raised RuntimeError: out of memory" in stopped.line
    assert "with --resume goes on" in stopped.line
    assert world.status() == "stopped by the oracle"
    (world.folder / "broken").unlink()
    assert world.resumed(function="fragile").status == 0
    assert world.certificates() == world.undisturbed()
    assert len(world.asked) == world.asked.total() == ALL
    assert world.ledger()["spent_total"] == ALL + 16  # the batch in flight may have been answered


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("nan", "scores that are not finite numbers"),
        ("wide", "should answer with scores of shape (16, 2), got (16, 7)"),
        ("nothing", "should return an array of numbers"),
    ],
)
def test_garbage_is_no_vote(world: World, function: str, expected: str) -> None:
    stopped = world.certify("--concurrency", 1, function=function)
    assert stopped.status == 4
    assert expected in stopped.line
    assert world.certificates() == []


def test_a_run_is_not_begun_twice(world: World) -> None:
    world.certify("--limit", 1)
    done = world.certify("--limit", 1)
    assert done.status == 2
    assert done.line == f"error: {world.run} holds a run already; go on with it by --resume, or name another --out"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--sigma", "0.5"], "begun with --sigma 0.25, not 0.5"),
        (["--n", "41"], "begun with --n 40, not 41"),
        (["--n0", "11"], "begun with --n0 10, not 11"),
        (["--alpha", "0.1"], "begun with --alpha 0.001, not 0.1"),
        (["--seed", "1"], "begun with --seed 0, not 1"),
        (["--noise", "laplace"], "begun with --noise gaussian, not laplace"),
        (["--dtype", "float16"], "begun with --dtype float32, not float16"),
    ],
)
def test_another_setting_is_named(world: World, arguments: list[str], expected: str) -> None:
    world.certify("--limit", 1)
    done = world.resumed(*arguments)
    assert done.status == 2
    assert expected in done.line
    assert world.asked.total() == QUERIES


def test_other_things_under_the_same_names_are_noticed(world: World) -> None:
    world.certify("--limit", 1)
    file = world.folder / "oracle.py"
    file.write_text(file.read_text() + "\n# edited\n")
    assert "the oracle is not the one that" in world.resumed().line
    file.write_text(file.read_text().removesuffix("\n# edited\n"))
    assert "the oracle is not the one that" in world.resumed("--oracle", world.oracle("bright")).line
    picture(world.folder / "photos" / "0" / "a.png")
    other = world.resumed("--data", f"folder:{world.folder / 'photos'}")
    assert other.status == 2
    assert "the data is not the one that" in other.line
    assert world.resumed("--limit", 1).status == 0


def test_the_same_things_under_other_names_are_not(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.certify("--limit", 1)
    monkeypatch.chdir(world.folder)
    moved = ["--oracle", "module:oracle.py:counted?num_classes=2", "--data", "npz:images.npz", "--out", "run"]
    assert world.resumed(*moved).status == 0
    assert world.certificates() == world.undisturbed()


def test_a_coordinator_stands_in_front_and_must_fit(world: World) -> None:
    tuned = world.folder / "tuned"
    common = ["--sigma", "0.25", "--budget", "0", "--pretrain-epochs", "1", "--out"]
    data = ["--oracle", world.oracle(), "--data", f"npz:{world.folder / 'images.npz'}"]
    assert bbsmooth("tune", *data, *common, tuned).status == 0
    wrong = world.certify("--coordinator", tuned, "--sigma", 0.5)
    assert "was made for sigma 0.25, not 0.5; tune one for 0.5" in wrong.line
    wrong = world.certify("--coordinator", tuned, "--data", "mnist5k", "--oracle", world.oracle("counted", "x=1"))
    assert wrong.status == 2
    wrong = world.certify("--coordinator", tuned, "--data", "mnist5k", "--oracle", "local-vit")
    assert "is a coordinator for images (1, 8, 8), the oracle takes (1, 28, 28)" in wrong.line
    assert not world.run.exists()
    assert world.certify("--coordinator", tuned, "--limit", 1).status == 0
    assert "the coordinator is not the one" in world.resumed().line
    other = world.folder / "other"
    assert bbsmooth("tune", *data, *common, other, "--seed", 1).status == 0
    assert "the coordinator is not the one" in world.resumed("--coordinator", other).line
    assert world.resumed("--coordinator", tuned, "--limit", 2).status == 0


def test_a_directory_of_something_else_is_left_alone(world: World) -> None:
    world.run.mkdir()
    (world.run / "thesis.tex").write_text("precious")
    assert "is not empty and holds no run" in world.certify().line
    assert (world.run / "thesis.tex").read_text() == "precious"
    assert (
        f"cannot write to the run directory {world.folder / 'oracle.py'}"
        in world.certify(out=world.folder / "oracle.py").line
    )


def test_a_run_of_another_command_is_left_alone(world: World) -> None:
    image = picture(world.folder / "a.png")
    bbsmooth("predict", "--oracle", world.oracle(), "--sigma", 0.25, "--n", 15, "--out", world.run, image)
    for done in (world.certify(), world.resumed()):
        assert done.status == 2
        assert f"{world.run} holds a run of `bbsmooth predict`, not of `bbsmooth certify`" in done.line


def test_a_run_in_use_is_left_alone(world: World) -> None:
    other = RunDirectory.open(world.run, command="certify", settings={}, context={}, resume=False)
    done = world.resumed()
    other.close()
    assert done.status == 2
    assert f"{world.run} is in use by another process" in done.line


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 1}', '{"format": 99}'])
def test_a_broken_manifest_is_named(world: World, content: str) -> None:
    world.certify("--limit", 1)
    (world.run / "manifest.json").write_text(content)
    for done in (world.resumed(), bbsmooth("report", world.run)):
        assert done.status == 2
        assert str(world.run / "manifest.json") in done.line
        assert "restore it" in done.line


@pytest.mark.parametrize("content", ["", "{", "[]", '{"spent": {"tune": "x"}}', '{"spent": {"party": 1}}', None])
def test_nothing_is_spent_on_an_account_that_cannot_be_read(world: World, content: str | None) -> None:
    world.certify("--limit", 1)
    (world.run / "ledger.json").unlink()
    if content is not None:
        (world.run / "ledger.json").write_text(content)
    done = world.resumed()
    assert done.status == 2
    assert str(world.run / "ledger.json") in done.line
    assert "restore it" in done.line
    assert world.asked.total() == QUERIES


def test_damaged_answers_are_said_to_be_and_nothing_is_asked(world: World) -> None:
    world.certify("--limit", 1)
    (world.run / "responses" / "cache.db").write_bytes(b"no database" * 1000)
    for path in (world.run / "responses").glob("cache.db-*"):
        path.unlink()
    done = world.resumed("--limit", 2)
    assert done.status == 2
    assert "restore it from a copy, or begin another run" in done.line
    assert "--resume" not in done.line
    assert world.asked.total() == QUERIES


def test_an_ended_run_is_resumed_only_as_it_ended(world: World) -> None:
    world.certify("--limit", 2)
    asked = world.asked.total()
    for name in ("certificates.jsonl", "summary.json"):
        before = (world.run / name).read_text()
        (world.run / name).write_text(before.replace("true", "false", 1))
        done = world.resumed()
        assert done.status == 2
        assert f"{world.run / name} is not as it was when the run ended" in done.line
        (world.run / name).write_text(before)
    assert world.asked.total() == asked
    assert world.resumed().status == 0


@pytest.mark.parametrize("change", [{"spent": {}}, {"spent_total": 1}, {"left": 10**6}, {"attempts": 7}], ids=str)
@pytest.mark.parametrize("ended", [True, False])
def test_a_ledger_that_contradicts_itself_is_refused(world: World, change: dict[str, Any], ended: bool) -> None:
    world.certify("--limit", 2, "--budget", 10**5)
    ledger = json.loads((world.run / "ledger.json").read_text())
    write_json(world.run / "ledger.json", ledger | change)
    if not ended:
        killed(world.run)
    asked = world.asked.total()
    done = world.resumed("--budget", 10**5)
    assert done.status == 2
    assert "ledger.json" in done.line
    assert world.asked.total() == asked


def test_half_a_line_is_written_again(world: World) -> None:
    world.certify("--limit", 3)
    file = world.run / "certificates.jsonl"
    file.write_bytes(file.read_bytes()[:-30])
    killed(world.run)
    assert world.resumed().status == 0
    assert world.certificates() == world.undisturbed()
    assert world.asked.total() == ALL


def test_a_line_that_is_no_certificate_is_named(world: World) -> None:
    world.certify("--limit", 2)
    file = world.run / "certificates.jsonl"
    file.write_text("nonsense\n" + file.read_text())
    killed(world.run)
    done = world.resumed()
    assert done.status == 2
    assert f"{file}, line 1, is not a certificate" in done.line


def test_a_full_disk_is_one_line_and_the_run_goes_on_after(world: World, disk: SmallDisk) -> None:
    disk.mount("size=300k")
    out = disk.path / "run"
    stopped = world.certify(out=out)
    assert stopped.status == 1
    assert stopped.line.startswith("failed: ")
    assert str(disk.path) in stopped.line
    assert "make room" in stopped.line
    disk.mount("size=20m")
    assert world.resumed(out=out).status == 0
    assert world.certificates(out) == world.undisturbed()
    spent = json.loads((out / "ledger.json").read_text())["spent_total"]
    assert world.asked.total() <= spent <= ALL + 2 * 16  # batches whose answers could not be kept


@pytest.mark.parametrize("pages", [0, 1, 2, 3, 4, 6, 8, 16, 32, 48, 56, 64, 72, 80, 96, 112, 160])
def test_wherever_the_disk_fills_up_the_run_goes_on_after(world: World, disk: SmallDisk, pages: int) -> None:
    disk.mount("size=2m")
    (disk.path / "ballast").write_bytes(b"\0" * (2**21 - 4096 * pages))
    out = disk.path / "run"
    stopped = world.certify(out=out)
    assert stopped.status in (0, 1)
    assert stopped.status == 0 or stopped.line.startswith("failed: ")
    (disk.path / "ballast").unlink()
    assert world.resumed(out=out).status == 0
    assert world.certificates(out) == world.undisturbed()


def test_a_read_only_directory_is_named(world: World, disk: SmallDisk) -> None:
    assert world.certify("--limit", 1).status == 0
    disk.mount("size=2m")
    out = disk.path / "run"
    shutil.copytree(world.run, out)
    disk.mount("ro")
    for done in (world.resumed(out=out), world.certify(out=disk.path / "new")):
        assert done.status == 2
        assert "cannot write to the run directory" in done.line
    assert bbsmooth("report", out, "--format", "text").status == 0
    assert world.asked.total() == QUERIES


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_directory_without_permission_is_named(world: World) -> None:
    world.run.mkdir(mode=0o500)
    assert "cannot write to the run directory" in world.certify().line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=str)
def test_an_interrupted_run_goes_on(world: World, number: signal.Signals) -> None:
    stopped = world.stopped(number, after=100)
    assert stopped.status == 130
    assert stopped.out == ""
    assert stopped.line == (
        f"interrupted; everything so far is saved in {world.run}, and the same command with --resume goes on from there"
    )
    assert world.status() == "interrupted"
    assert world.asked.total() < ALL
    assert world.resumed(function="slow").status == 0
    assert world.certificates() == world.undisturbed()
    assert len(world.asked) == world.asked.total() == ALL == world.ledger()["spent_total"]


def test_a_killed_run_goes_on(world: World) -> None:
    assert world.stopped(signal.SIGKILL, after=100).status == -signal.SIGKILL
    assert "(certify, killed)" in bbsmooth("report", world.run).out
    spent = world.ledger()["spent_total"]
    in_flight = 2 * 16
    assert world.asked.total() <= spent <= world.asked.total() + in_flight
    assert world.resumed("--budget", ALL, function="slow").status in (0, 3)
    assert world.asked.total() <= ALL
    assert world.resumed("--budget", ALL + in_flight, function="slow").status == 0
    assert world.certificates() == world.undisturbed()
    assert world.asked.total() <= world.ledger()["spent_total"] <= ALL + in_flight
    assert sum(times - 1 for times in world.asked.values()) <= in_flight
    assert max(world.asked.values()) <= 2


def test_a_real_process_leaves_with_the_same_status(world: World) -> None:
    with world.process("bright", "--budget", "60", "--json") as child:
        out, err = child.communicate(timeout=LONG)
    assert child.returncode == 3
    assert json.loads(out) == {"error": err.rstrip("\n"), "exit_status": 3}


def test_neither_batches_nor_threads_change_a_certificate(tmp_path: Path) -> None:
    found = set()
    for number, (size, threads) in enumerate([(1, 1), (7, 2), (256, 8), (256, 1), (7, 8)]):
        out = tmp_path / str(number)
        done = bbsmooth(
            *("certify", "--oracle", "local-vit", "--data", "mnist5k", "--sigma", 0.5, "--n0", 8, "--n", 30),
            *("--limit", 3, "--seed", 7, "--out", out, "--batch-size", size, "--concurrency", threads),
        )
        assert done.status == 0
        found.add(json.dumps(World(tmp_path).certificates(out)))
    assert len(found) == 1


def reported(world: World, run: Path | None = None) -> list[float]:
    """The radii at which a run reports, which its manifest names as if they had been given."""
    run = run or world.run
    found = [row["radius"] for row in read_summary(run)["certified_accuracy"]]
    assert json.loads((run / "manifest.json").read_text())["settings"]["radii"] == found
    return found


@pytest.mark.parametrize(
    ("noise", "method"),
    [(noise, method) for noise in ("gaussian", "laplace", "uniform") for method in ("cohen", "sequential")]
    + [("splitting", "splitting")],
)
def test_reports_are_at_radii_that_can_be_had(world: World, noise: str, method: str) -> None:
    done = world.certify("--noise", noise, "--method", method, "--limit", 2)
    assert done.status == 0, done.err
    settings = json.loads((world.run / "manifest.json").read_text())["settings"]
    sigma, n, alpha = settings["sigma"], settings["num_estimation"], settings["alpha"]
    most = alpha ** (1 / n) if alpha else 1.0
    largest = {
        "gaussian": lambda: sigma * norm.ppf(most),
        "laplace": lambda: -sigma / math.sqrt(2) * math.log(2 * (1 - most)),
        "uniform": lambda: 2 * math.sqrt(3) * sigma * (most - 0.5),
        "splitting": lambda: n / 510,
    }[noise]()
    radii = reported(world)
    assert radii[0] == 0
    assert 0.79 * largest < radii[-1] <= largest
    assert bbsmooth("verify", world.run).status == 0


def test_a_resumed_run_keeps_its_radii_and_a_reusing_one_has_the_same(world: World) -> None:
    assert world.certify("--limit", 2).status == 0
    usual = reported(world)
    assert world.certify("--limit", 2, "--reuse", world.run, out=world.folder / "again").status == 0
    assert reported(world, world.folder / "again") == usual
    assert world.resumed("--limit", 2, "--radius", 0.123).status == 0
    assert world.resumed("--limit", 3).status == 0
    assert reported(world) == [0.123]
