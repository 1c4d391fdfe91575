"""`bbsmooth report` in its three forms."""

from __future__ import annotations

import csv
import json

from tests.bbsmooth.cli.world import World, bbsmooth


def test_text_fits_a_screen_and_says_what_was_found(world: World) -> None:
    world.certify("--limit", 1)
    done = bbsmooth("report", world.run)
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


def test_what_is_no_run_is_said(world: World) -> None:
    done = bbsmooth("report", world.folder)
    assert done.status == 2
    assert done.line == f"error: {world.folder} is not a run directory: it holds no manifest.json"
    assert json.loads(bbsmooth("report", world.folder, "--json").out)["exit_status"] == 2
    world.certify("--limit", 1)
    assert "--format must be text, tsv or json, got 'xml'" in bbsmooth("report", world.run, "--format", "xml").line


def test_a_run_without_certificates_has_no_log(world: World) -> None:
    world.certify("--limit", 1)
    (world.run / "certificates.jsonl").unlink()
    done = bbsmooth("report", world.run, "--format", "tsv")
    assert done.status == 2
    assert "name a run of `bbsmooth certify`" in done.line
