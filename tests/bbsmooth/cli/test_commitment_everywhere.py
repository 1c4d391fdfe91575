"""Every run that certifies, tunes, predicts or attacks fixes what it will do before its first query."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rfc8785

import bbsmooth as bb
from bbsmooth.randomness import image_digest
from bbsmooth.runs.directory import read_manifest
from bbsmooth.runs.files import write_json
from bbsmooth.runs.hashes import run_hashes
from bbsmooth.runs.stamping import Stamp
from bbsmooth.verification.run import verify
from tests.bbsmooth.cli.test_commitment import Authority, authority, committed
from tests.bbsmooth.cli.test_evidence import keys
from tests.bbsmooth.cli.world import Outcome, World, bbsmooth, picture

__all__ = ["authority", "keys"]

Made = Callable[..., Outcome]


def certify(world: World, *arguments: object) -> Outcome:
    return world.certify("--n", 100, "--limit", 2, *arguments)


def tune(world: World, *arguments: object) -> Outcome:
    return bbsmooth(
        *("tune", "--oracle", world.oracle("counted"), "--data", f"npz:{world.folder / 'images.npz'}"),
        *("--sigma", 0.25, "--budget", 100, "--pretrain-epochs", 1, "--out", world.run, *arguments),
    )


def predict(world: World, *arguments: object) -> Outcome:
    files = [picture(world.folder / name) for name in ("a.png", "b.png")]
    return bbsmooth(
        *("predict", "--oracle", world.oracle("counted"), "--sigma", 0.25, "--n", 20, "--out", world.run),
        *(*files, *arguments),
    )


def attack(world: World, *arguments: object) -> Outcome:
    target = world.folder / "attacked"
    if not target.exists():
        assert world.certify("--n", 100, out=target).status == 0
    return bbsmooth(
        *("attack", target, "--out", world.run, "--progress", "none", "--search", 5, "--judge", 200, "--steps", 1),
        *("--draws", 4, "--method", "hopskipjump", "--limit", 2, *arguments),
    )


COMMANDS: list[Made] = [certify, tune, predict, attack]


@pytest.mark.parametrize("made", COMMANDS, ids=lambda made: made.__name__)
def test_images_settings_and_seed_are_fixed_and_verified(world: World, made: Made) -> None:
    assert made(world, "--seed", 3).status == 0
    fixed, manifest = committed(world.run), read_manifest(world.run)
    assert (fixed["command"], fixed["seed"]) == (made.__name__, {"how": "given", "seed": "3"})
    assert fixed["oracle"] == manifest["oracle"]
    raw = (world.run / "commitment.json").read_bytes()
    note = dict(manifest)["commitment"]
    assert note["sha256"] == hashlib.sha256(raw).hexdigest()  # type: ignore[index]
    assert len(fixed["images"]) >= 2
    found = verify(world.run)
    assert found.findings == ()
    assert "the run did what it had fixed before its first query" in found.checks
    assert "the images are those that it had fixed" in found.checks


@pytest.mark.parametrize("made", COMMANDS, ids=lambda made: made.__name__)
def test_a_stamp_fixes_the_seed_and_a_resumed_run_keeps_it(world: World, authority: Authority, made: Made) -> None:
    ways = ["--timestamp", authority.url, "--seed", "stamped"]
    assert made(world, *ways).status == 0
    stamp = Stamp((world.run / "commitment.tsr").read_bytes())
    assert read_manifest(world.run)["settings"]["seed"] == stamp.seed > 2**32
    found = verify(world.run, authority=authority.root.read_bytes())
    assert found.findings == ()
    assert "the stamp is the authority's" in found.checks
    assert made(world, "--seed", "stamped", "--resume").status == 0
    assert (world.run / "commitment.tsr").read_bytes() == stamp.raw
    refused = made(world, "--seed", 3, "--resume")
    assert refused.status == 2
    assert "was begun with a seed that is stamped" in refused.line


@pytest.mark.parametrize("made", COMMANDS, ids=lambda made: made.__name__)
def test_a_run_that_did_otherwise_is_found(world: World, made: Made) -> None:
    """Also where the manifest's hashes were written again: the run and what it fixed must agree."""
    assert made(world).status == 0
    for change in ("settings", "oracle", "images"):
        copy = world.folder / change
        shutil.copytree(world.run, copy)
        fixed: dict[str, Any] = committed(copy)
        if change == "images":
            fixed["images"][1]["sha256"] = fixed["images"][0]["sha256"][::-1]
        elif change == "settings":
            fixed["settings"]["sigma"] = 0.5
        else:
            fixed["oracle"]["fingerprint"] = "0" * 64
        raw = rfc8785.dumps(fixed)
        (copy / "commitment.json").write_bytes(raw)
        digest = hashlib.sha256(raw).hexdigest()
        _rewrite(copy, {"sha256": digest})
        findings = verify(copy).findings
        assert findings
        assert all(finding.startswith("commitment.json: ") for finding in findings)


@pytest.mark.parametrize("made", COMMANDS, ids=lambda made: made.__name__)
def test_a_run_of_before_verifies_and_goes_on_without_one(world: World, authority: Authority, made: Made) -> None:
    assert made(world).status == 0
    (world.run / "commitment.json").unlink()
    _rewrite(world.run, None)
    found = verify(world.run)
    assert found.findings == ()
    assert sum("commitment" in line for line in found.unchecked) == 1
    assert any("the run has no commitment" in line for line in found.unchecked)
    late = made(world, "--timestamp", authority.url, "--resume")
    assert late.status == 2
    assert "a stamp comes too late" in late.line
    assert made(world, "--resume").status == 0
    assert not (world.run / "commitment.json").exists()
    assert bbsmooth("report", world.run).status == 0


def test_a_missing_commitment_is_found_in_one_line(world: World) -> None:
    assert COMMANDS[0](world).status == 0
    (world.run / "commitment.json").unlink()
    found = verify(world.run)
    assert [line for line in found.findings if "commitment" in line] == ["commitment.json is gone"]


def test_what_a_file_lacks_is_said_in_words(world: World) -> None:
    assert COMMANDS[0](world).status == 0
    (world.run / "commitment.json").write_text("{}")
    findings = verify(world.run).findings
    assert any(line.startswith("cannot tell whether the run did what it had fixed") for line in findings)
    assert not any("Damaged(" in line or "Error(" in line for line in findings)


def _rewrite(run: Path, note: dict[str, str] | None) -> None:
    """Forge what the manifest says of the commitment, and all hashes with it."""
    manifest = json.loads((run / "manifest.json").read_text())
    before = manifest.pop("commitment")
    if note is not None:
        manifest["commitment"] = before | note
    write_json(run / "manifest.json", manifest | {"hashes": run_hashes(run, manifest)})


def test_a_larger_limit_goes_beyond_what_was_fixed_and_the_page_says_so(world: World) -> None:
    assert certify(world).status == 0
    before = (world.run / "commitment.json").read_bytes()
    assert certify(world, "--limit", 4, "--resume").status == 0
    assert (world.run / "commitment.json").read_bytes() == before
    assert verify(world.run).findings == ()
    assert bbsmooth("report", world.run).status == 0
    page = re.sub(r"\s+", " ", (world.run / "report.html").read_text())
    assert "2 images were certified beyond the 2 that were fixed beforehand" in page
    archive = world.folder / "run.zip"
    assert bbsmooth("bundle", world.run, "--out", archive).status == 0
    (world.folder / "images.npz").unlink()
    assert bbsmooth("verify", archive).status == 0


@pytest.mark.parametrize("made", [predict, attack], ids=lambda made: made.__name__)
def test_images_that_are_named_otherwise_go_into_an_archive_too(world: World, made: Made) -> None:
    assert made(world).status == 0
    archive = world.folder / "run.zip"
    assert bbsmooth("bundle", world.run, "--out", archive).status == 0
    for file in (*world.folder.glob("*.png"), world.folder / "images.npz"):
        file.unlink(missing_ok=True)
    done = bbsmooth("verify", archive)
    assert (done.status, "right: the images are those that it had fixed\n" in done.out) == (0, True), done.out
    assert "not checked: the images are those" in bbsmooth("verify", world.run).out


def test_reused_answers_and_a_stamped_seed_exclude_each_other(world: World, authority: Authority) -> None:
    assert certify(world).status == 0
    asked = world.asked.total()
    ways = ["--timestamp", authority.url, "--seed", "stamped", "--out", world.folder / "next"]
    for name in ("--reuse", "--incremental-from"):
        found = certify(world, *ways, name, world.run)
        assert found.status == 2
        assert f"{name} takes the seed of the earlier run" in found.line
    assert world.asked.total() == asked


def test_a_prediction_that_keeps_nothing_takes_no_stamp(world: World) -> None:
    found = bbsmooth(
        *("predict", "--oracle", world.oracle("counted"), "--sigma", 0.25, "--n", 20, "--timestamp"),
        *("http://127.0.0.1:9/", picture(world.folder / "a.png")),
    )
    assert found.status == 2
    assert "a stamp is kept in a run directory" in found.line
    assert not world.asked


def test_python_commits_itself_too(tmp_path: Path, authority: Authority) -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(8) % 2
    images = (np.where(labels, 215, 30)[:, None, None, None] + generator.integers(-25, 26, (8, 1, 8, 8))).astype(
        np.uint8
    )
    asked = bb.oracle(lambda batch: (batch.mean((1, 2, 3)) > 0.5).astype(int), image_shape=(1, 8, 8), classes=2)
    noise = bb.Gaussian(sigma=0.25)
    found = bb.certify(
        asked,
        images,
        labels,
        noise=noise,
        plan=bb.Cohen(num_selection=10, num_estimation=100, alpha=0.001),
        seed="stamped",
        timestamp=authority.url,
        run=tmp_path / "run",
    )
    fixed = committed(found.run)
    assert [image["sha256"] for image in fixed["images"]] == [
        image_digest(found._images.image(index)).hex()  # type: ignore[union-attr]
        for index in range(8)
    ]
    assert found.settings["seed"] == Stamp((found.run / "commitment.tsr").read_bytes()).seed
    assert bb.verify(found, authority=authority.root).verified
    with pytest.raises(bb.UsageError, match="name one with `timestamp`"):
        bb.predict(asked, images, noise=noise, num_draws=20, alpha=0.01, seed="stamped", run=tmp_path / "other")
