"""What agrees with itself and yet is not what the answers on record give is found, whatever was edited together."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bbsmooth.certification import ClopperPearson, Outcome
from bbsmooth.certification.bounds.randomised import RandomisedClopperPearson
from bbsmooth.certification.methods.incremental import Chosen, IncrementalPlan
from bbsmooth.certification.methods.pairs import Pairs
from bbsmooth.noise import Gaussian, Grid, Norm, implied_radius
from bbsmooth.runs.certificates import read_certificates, write_summary
from bbsmooth.runs.directory import read_manifest
from bbsmooth.runs.hashes import run_hashes
from bbsmooth.runs.layout import CERTIFICATES
from bbsmooth.runs.reading import read_run
from bbsmooth.runs.summary import summarize
from bbsmooth.verification.asked import Asked
from bbsmooth.verification.outcomes import outcome_of
from bbsmooth.verification.run import verify
from bbsmooth.verification.stored import StoredAnswers
from oracles import Classes, ResponseStore
from tests.bbsmooth.cli.world import World, bbsmooth, build
from tests.bbsmooth.reporting.worlds import change

Record = dict[str, Any]
VALUES = 64
WORDS = "each certificate is what images, seed and recorded answers give"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Images 1 and 4 are grey, so that votes differ."""
    made = build(tmp_path)
    held = dict(np.load(tmp_path / "images.npz"))
    held["x"][[1, 4]] = np.random.default_rng(1).integers(95, 165, (2, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", **held)
    return made


def forge(run: Path, edit: Callable[[Record], None], line: int) -> None:
    """Edit a line, and make summary and hashes fit."""
    path = run / CERTIFICATES
    records = [json.loads(text) for text in path.read_text().splitlines()]
    edit(records[line])
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    fit(run)


def fit(run: Path) -> None:
    found = read_run(run)
    asked, summary = Asked.of(found), dict(found.summary or {})
    again = summarize(
        found.certificates or [],
        asked.config.radii,
        images=summary["images"],
        seconds=summary["seconds"],
        largest_radius=asked.plan.largest_radius,
        family_wise=asked.config.joint,
        discovery=asked.config.discovery,
    )
    write_summary(run, summary | again)
    change(run / "manifest.json", hashes=run_hashes(run, read_manifest(run)))


def claim(record: Record, p_lower: float, noise: Gaussian) -> None:
    """Make a line say what follows from `p_lower` for its selected class."""
    radius = noise.radius(p_lower)
    assert radius > 0
    record |= {"p_lower": p_lower, "abstained": False, "reason": None, "predicted": record["selected"]}
    record |= {"radius": radius, "correct": record["selected"] == record["label"]}
    record |= {f"radius_{norm.value}": implied_radius(radius, Norm.L2, norm, values=VALUES) for norm in Norm}


def more_votes(record: Record) -> None:
    record["counts"] = {str(record["selected"]): record["n"]}
    bound = ClopperPearson().lower(record["n"], record["n"], alpha=record["alpha"])
    claim(record, bound - record["total_variation"], Gaussian(record["sigma"]))


def another_label(record: Record) -> None:
    record["label"] = 1 - record["label"]
    record["correct"] = record["predicted"] == record["label"]


def lucky_number(record: Record) -> None:
    votes, record["details"] = record["counts"][str(record["selected"])], {"uniform": 0.05}
    bound = RandomisedClopperPearson(0.05).lower(votes, record["n"], alpha=record["alpha"])
    claim(record, bound - record["total_variation"], Gaussian(record["sigma"]))


def other_selection(record: Record) -> None:
    record["selection_votes"] -= 1


FORGERIES: dict[str, tuple[str, int, Callable[[Record], None], str]] = {
    "votes": ("", 1, more_votes, "counts"),
    "label": ("", 0, another_label, "label, correct"),
    "label of the oracle": ("--labels oracle", 0, another_label, "label, correct"),
    "uniform number": ("--bound randomised", 0, lucky_number, "details"),
    "selection": ("", 0, other_selection, "selection_votes"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_line_that_agrees_with_itself_must_be_what_was_answered(world: World, name: str) -> None:
    ways, line, edit, named = FORGERIES[name]
    assert world.certify(*ways.split()).status == 0
    assert verify(world.run).findings == ()
    forge(world.run, edit, line)
    (finding,) = verify(world.run).findings
    assert finding.startswith(f"certificates.jsonl, image {line}: ")
    assert named in finding
    shutil.rmtree(world.run / "responses")  # without the answers the line is as good as any
    assert verify(world.run).findings == ()


def test_earlier_votes_must_be_those_on_record(world: World) -> None:
    assert world.certify().status == 0
    run = world.folder / "changed"
    more = ("--incremental-from", world.run, "--n", "20")
    assert world.certify(*more, function="bright", out=run).status == 0
    assert verify(run).findings == ()
    plan = Asked.of(read_run(run)).plan
    assert isinstance(plan, IncrementalPlan)

    def luckier(record: Record) -> None:
        record["details"]["earlier_votes"] = _most(plan, record)
        evidence = outcome_of(record).verdict.evidence
        again = _concluded(plan, record["details"], evidence.counts, record["total_variation"])
        assert again.verdict.evidence.p_lower > record["p_lower"]
        record["p_lower"] = again.verdict.evidence.p_lower

    records = read_certificates(run)
    index = next(each["index"] for each in records if each["details"]["earlier_votes"] < _most(plan, each))
    forge(run, luckier, index)
    (finding,) = verify(run).findings
    assert finding.startswith(f"certificates.jsonl, image {index}: p_lower, details")


def _most(plan: IncrementalPlan, record: Record) -> int:
    """The most votes that the earlier classifier can have had: all of the draws that were not asked about again."""
    again = record["counts"].get("0", 0) + record["details"]["lost"]
    return int(again + plan.earlier_estimation - record["n"])


def _concluded(plan: IncrementalPlan, details: Record, counts: Any, total_variation: float) -> Outcome:
    votes = Pairs(
        earlier_votes=details["earlier_votes"],
        earlier_trials=plan.earlier_estimation,
        votes=counts[0],
        trials=plan.num_estimation,
        lost=details["lost"],
    )
    chosen = Chosen(selected=0, votes=details["earlier_selection_votes"])
    return plan.conclude(chosen, votes, counts, total_variation=total_variation)


def test_more_noise_than_was_drawn_is_found(world: World) -> None:
    """Radii grow with sigma, and no count tells which it was; the draws on record do."""
    assert world.certify().status == 0
    noise = Gaussian(1.0)
    distance = Grid(1).total_variation(noise, VALUES)
    settings = read_manifest(world.run)["settings"]
    change(world.run / "manifest.json", settings=settings | {"sigma": 1.0})

    def louder(record: Record) -> None:
        before = record["total_variation"]
        record |= {"sigma": 1.0, "total_variation": distance, "p_lower": record["p_lower"] + before - distance}
        if not record["abstained"]:
            claim(record, record["p_lower"], noise)

    for line in range(6):
        forge(world.run, louder, line)
    *findings, last, fixed = verify(world.run).findings
    assert len(findings) == 6
    assert fixed == "commitment.json: settings.sigma is 0.25, the run has 1"
    assert all("not all answers that it needs are on record" in finding for finding in findings)
    assert "answers are on record for images, or under settings, that no certificate names" in last


def test_without_images_it_is_said_what_was_not_checked(world: World) -> None:
    assert world.certify().status == 0
    database = world.run / "responses" / "cache.db"
    before = database.read_bytes()
    assert WORDS in verify(world.run).checks
    assert database.read_bytes() == before
    (world.folder / "images.npz").unlink()
    done = bbsmooth("verify", world.run)
    assert done.status == 0
    words = WORDS, "the images are those that it had fixed"
    for line, told in zip(done.out.splitlines()[-2:], words, strict=True):
        assert line.startswith(f"not checked: {told}: the images are not at hand")


def test_answers_that_cannot_be_read_are_a_finding(world: World) -> None:
    assert world.certify().status == 0
    with closing(sqlite3.connect(world.run / "responses" / "cache.db")) as database, database:
        database.execute("UPDATE Cache SET value = x'00' WHERE length(value) IN (4096, 4100)")
    assert any("recorded answers cannot be read" in finding for finding in verify(world.run).findings)
    manifest = read_manifest(world.run)
    change(world.run / "manifest.json", oracle=manifest["oracle"] | {"classes": ["a", "a"]})
    assert any("class names must differ" in finding for finding in verify(world.run).findings)


def test_answers_of_an_open_set_are_numbered_as_the_run_did(tmp_path: Path) -> None:
    """Names come in the order of the answers, which no later process knows."""
    store = ResponseStore(tmp_path / "responses")
    store.save_classes(Classes(["zebra", "ape"], open_set=True))
    store.write({b"key": b"value"})
    store.close()
    held, classes = StoredAnswers(tmp_path / "responses"), Classes(open_set=True)
    held.load_classes(classes)
    assert classes.names == ("zebra", "ape")
    assert held.read([b"key", b"other"]) == [b"value", None]
    held.close()
