"""`bbsmooth report` in its forms."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.bbsmooth.cli.world import World, bbsmooth, picture


def test_text_fits_a_screen_and_says_what_was_found(world: World) -> None:
    world.certify("--limit", 1)
    done = bbsmooth("report", world.run, "--format", "text")
    assert done.status == 0
    assert "1 image, 0 abstentions, alpha 0.001 each, ACR" in done.out
    assert max(map(len, done.out.splitlines())) <= 100


def test_names_are_shown_as_they_are(world: World) -> None:
    out = world.folder / "runs[red] :smile:"
    world.certify("--limit", 1, out=out)
    assert "runs[red] :smile:" in " ".join(bbsmooth("report", out).out.split())


def test_the_log_reads_back_as_the_fields_own(world: World) -> None:
    world.certify()
    done = bbsmooth("report", world.run, "--format", "tsv")
    rows = list(csv.DictReader(done.out.splitlines(), delimiter="\t"))
    assert list(rows[0]) == ["idx", "label", "predict", "radius", "correct", "time"]
    for row, record in zip(rows, world.certificates(), strict=True):
        assert (int(row["idx"]), int(row["label"]), int(row["predict"])) == (
            record["index"],
            record["label"],
            record["predicted"],
        )
        assert float(row["radius"]) == record["radius"]
        assert row["correct"] == str(int(record["correct"]))
        assert float(row["time"]) >= 0


def test_json_is_one_object(world: World) -> None:
    world.certify("--limit", 1)
    found = json.loads(bbsmooth("report", world.run, "--format", "json").out)
    assert found == json.loads(bbsmooth("report", world.run, "--json").out)
    assert (found["command"], found["status"], found["settings"]["sigma"]) == ("certify", "done", 0.25)
    page = world.folder / "page.md"
    assert json.loads(bbsmooth("report", world.run, "--json", "--out", page).out) == found
    assert page.read_text().startswith("# certify: ")
    for ways, words in (
        (("--json", "--format", "md"), "--json prints one JSON object, and --format asks for md"),
        (("--format", "tsv", "--images", 5), "--images goes with html, not with tsv"),
        (("--format", "md", "--attack", world.run), "--attack goes with html, png and svg, not with md"),
    ):
        refused = bbsmooth("report", world.run, *ways)
        assert (refused.status, words in refused.err) == (2, True), refused.err


def test_what_is_no_run_is_said(world: World) -> None:
    done = bbsmooth("report", world.folder)
    assert done.status == 2
    assert done.line == f"error: {world.folder} is not a run directory: it holds no manifest.json"
    assert json.loads(bbsmooth("report", world.folder, "--json").out)["exit_status"] == 2
    world.certify("--limit", 1)
    assert "--format must be one of html, png" in bbsmooth("report", world.run, "--format", "xml").line
    assert "got 'pdf' from --out a.pdf" in bbsmooth("report", world.run, "--out", "a.pdf").line


def test_a_run_without_certificates_has_no_log(world: World) -> None:
    world.certify("--limit", 1)
    (world.run / "certificates.jsonl").unlink()
    done = bbsmooth("report", world.run, "--format", "tsv")
    assert done.status == 2
    assert "name a run of `bbsmooth certify`" in done.line


def test_a_page_is_written_into_the_run(world: World) -> None:
    world.certify()
    done = bbsmooth("report", world.run)
    assert done.status == 0
    assert done.out.endswith(f"report: {world.run / 'report.html'}\n")
    assert "certified accuracy" in done.out
    html = (world.run / "report.html").read_text()
    assert html.count("data:image/png;base64,") == 12  # six images, clean and noisy
    assert bbsmooth("verify", world.run).status == 0  # it changes nothing that was hashed


def test_pictures_show_what_the_oracle_was_shown(world: World) -> None:
    tuned = world.folder / "tuned"
    subject = ("--oracle", world.oracle("bright"), "--data", f"npz:{world.folder / 'images.npz'}", "--sigma", "0.25")
    assert bbsmooth("tune", *subject, "--budget", 0, "--pretrain-epochs", 1, "--out", tuned).status == 0
    world.certify("--coordinator", tuned)
    bbsmooth("report", world.run, "--images", 2)
    html = (world.run / "report.html").read_text()
    assert html.count("data:image/png;base64,") == 6
    assert "shown to the oracle" in html
    assert "behind a denoiser that was made without a query" in html
    assert "tuned" not in html.split('class="lead"')[1].split("</p>")[0]


@pytest.mark.parametrize(
    ("own", "spent", "phrase"),
    [
        (True, 1, "behind a coordinator tuned with 1 query for it,"),
        (True, 1200, "behind a coordinator tuned with 1,200 queries for it,"),
        (False, 1200, "behind a coordinator tuned with 1,200 queries for another,"),
        (None, 1200, "behind a coordinator,"),
    ],
)
def test_a_page_says_what_the_coordinator_cost(world: World, own: bool | None, spent: int, phrase: str) -> None:
    tuned = world.folder / "tuned"
    subject = ("--oracle", world.oracle("bright"), "--data", f"npz:{world.folder / 'images.npz'}", "--sigma", "0.25")
    bbsmooth("tune", *subject, "--budget", 0, "--pretrain-epochs", 1, "--out", tuned)
    world.certify("--coordinator", tuned, "--limit", 2)
    ledger, manifest = (json.loads((tuned / name).read_text()) for name in ("ledger.json", "manifest.json"))
    (tuned / "ledger.json").write_text(
        json.dumps(ledger | {"spent_total": spent, "spent": ledger["spent"] | {"tune": spent}})
    )
    asked = json.loads((world.run / "manifest.json").read_text())["oracle"]
    asked = asked if own else {"name": "another", "fingerprint": "00"}
    (tuned / "manifest.json").write_text(json.dumps(manifest | {"oracle": manifest["oracle"] | asked}))
    if own is None:
        (tuned / "coordinator.safetensors").unlink()
    assert phrase in bbsmooth("report", world.run, "--format", "md").out


@pytest.mark.parametrize("form", ["html", "png", "svg", "md", "tex", "tsv", "json", "txt"])
def test_every_form_can_be_a_file(world: World, form: str) -> None:
    world.certify("--limit", 2)
    file = world.folder / f"report.{form}"
    assert bbsmooth("report", world.run, "--out", file).status == 0
    begin = {"html": b"<!doctype", "png": b"\x89PNG", "svg": b"<?xml", "md": b"# certify", "tex": b"% needs"}
    begin |= {"tsv": b"idx\tlabel", "json": b'{"run"', "txt": b"run "}
    assert file.read_bytes().startswith(begin[form])


def test_a_figure_needs_something_to_draw(world: World) -> None:
    world.certify("--limit", 1)
    for name in ("certificates.jsonl", "summary.json"):
        (world.run / name).unlink()
    assert "so there is no figure" in bbsmooth("report", world.run, "--format", "png").line


def test_a_place_that_cannot_be_written_is_named(world: World) -> None:
    world.certify("--limit", 1)
    done = bbsmooth("report", world.run, "--out", world.folder / "nowhere" / "a.html")
    assert done.status == 2
    assert f"there is no folder {world.folder / 'nowhere'}; make it" in done.line


def test_only_attacks_on_the_same_stand_beside_a_run(world: World) -> None:
    other = world.folder / "other"
    world.certify("--limit", 1)
    world.certify("--limit", 1, out=other)
    assert "not of `bbsmooth attack`" in bbsmooth("report", world.run, "--attack", other).line


def test_file_names_are_text_in_every_form(world: World) -> None:
    file = picture(world.folder / "<img src=x onerror=alert(1)>_$&#.png")
    bbsmooth("predict", "--oracle", world.oracle(), "--sigma", "0.25", "--n", "20", "--out", world.run, file)
    bbsmooth("report", world.run)
    html = (world.run / "report.html").read_text()
    assert "<img" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html
    assert "<img" not in bbsmooth("report", world.run, "--format", "md").out
    assert r"\textless{}img src=x onerror=alert(1)\textgreater{}\_\$\&\#.png" in bbsmooth(
        "report", world.run, "--format", "tex"
    ).out.replace(r"\allowbreak{}", "")


def test_no_name_steers_a_terminal(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world.folder)  # a name that is short enough not to be folded
    file = picture(Path("\x1b[31mred\x07.png"))
    bbsmooth("predict", "--oracle", world.oracle(), "--sigma", "0.25", "--n", "20", "--out", world.run, file)
    shown = bbsmooth("report", world.run, "--format", "text").out
    assert "[31mred" in shown
    assert not [sign for sign in shown if sign != "\n" and not sign.isprintable()]


def test_a_page_says_that_it_was_tuned_on_the_images_that_it_certifies(world: World) -> None:
    tuned = world.folder / "tuned"
    (world.folder / "train").mkdir()
    for images, said in ((world.folder / "images.npz", True), (world.folder / "train" / "images.npz", False)):
        if not said:
            held = np.load(world.folder / "images.npz")
            np.savez(images, x=255 - held["x"], y=held["y"])
        subject = ("--oracle", world.oracle("bright"), "--data", f"npz:{images}", "--sigma", "0.25", "--out", tuned)
        assert bbsmooth("tune", *subject, "--budget", 0, "--pretrain-epochs", 1).status == 0
        done = world.certify("--coordinator", tuned, "--limit", 2)
        assert ("made on these very images" in done.err) is said
        assert json.loads((world.run / "summary.json").read_text())["seen_before"] is said
        text = bbsmooth("report", world.run, "--format", "md").out
        assert ("was made on the same images" in text) is said
        assert "among the certificates that were issued the share of wrong ones may be larger" in text
        shutil.rmtree(tuned)
        shutil.rmtree(world.run)
