"""Resuming a killed run: every line and charge is held against the answers on record before a query is sent."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bbsmooth.runs.lines import write_lines
from oracles.ledger_file import checksum
from tests.bbsmooth.cli.world import World, killed

Line = dict[str, Any]


def tampered(world: World, change: Callable[[list[Line]], None]) -> None:
    """Change the lines of a run that was killed after its fourth image."""
    assert world.certify("--limit", 4).status == 0
    path = world.run / "certificates.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    change(lines)
    write_lines(path, lines)
    killed(world.run)


CHANGES: dict[str, Callable[[list[Line]], None]] = {
    "flipped": lambda lines: lines[1].update(predicted=1, selected=1, correct=False),
    "moved": lambda lines: lines[3].update(index=4),
    "twice": lambda lines: lines.append(lines[2]),
    "larger": lambda lines: lines[0].update(radius=lines[0]["radius"] + 0.1),
    "more votes": lambda lines: lines[0].update(n=41, queries=51, counts={"0": 41}),
    "another label": lambda lines: lines[2].update(label=1, correct=False),
    "abstained": lambda lines: lines[2].update(
        predicted=None, radius=None, abstained=True, correct=False, reason="unproven", p_lower=0.0
    ),
    "out of the set": lambda lines: lines[3].update(index=600),
    "another alpha": lambda lines: lines[3].update(alpha=0.5),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_changed_line_of_a_killed_run_ends_before_any_query(world: World, change: Callable[..., None]) -> None:
    tampered(world, change)
    asked, ledger = world.asked.total(), world.ledger()["spent_total"]
    found = world.resumed("--limit", 6)
    assert found.status == 2
    assert "certificates.jsonl" in found.line
    assert (world.asked.total(), world.ledger()["spent_total"]) == (asked, ledger)


def test_a_restored_line_lets_the_run_go_on(world: World) -> None:
    tampered(world, lambda lines: lines[1].update(predicted=1, selected=1, correct=False))
    assert world.resumed("--limit", 6).status == 2
    path = world.run / "certificates.jsonl"
    write_lines(path, [json.loads(line) for number, line in enumerate(path.read_text().splitlines()) if number != 1])
    assert world.resumed("--limit", 6).status == 0
    assert sorted(world.certificates(), key=lambda line: int(line["index"])) == world.undisturbed()
    assert max(world.asked.values()) == 1  # the removed line is made of what is on record


def change_ledger(run: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a ledger as somebody would who knows of its checksum."""
    path = run / "ledger.json"
    state = json.loads(path.read_text())
    change(state)
    path.write_text(json.dumps(state | {"checksum": checksum(state)}))


def test_a_ledger_that_covers_less_than_the_record_ends_before_any_query(world: World) -> None:
    assert world.certify("--limit", 4, "--budget", 400).status == 0
    killed(world.run)
    right = (world.run / "ledger.json").read_bytes()
    change_ledger(world.run, lambda state: state.update(spent={"estimate": 3}, spent_total=3, left=397))
    asked = world.asked.total()
    found = world.resumed("--limit", 6, "--budget", 400)
    assert found.status == 2
    assert "3 queries were spent on votes, and 200 answers are on record" in found.line
    assert world.asked.total() == asked
    (world.run / "ledger.json").write_bytes(right)
    assert world.resumed("--limit", 6, "--budget", 400).status == 0
    assert world.ledger()["spent_total"] == 300


def test_a_flipped_bit_in_the_record_ends_before_any_query(world: World) -> None:
    assert world.certify("--limit", 4).status == 0
    killed(world.run)
    database = sqlite3.connect(world.run / "responses" / "cache.db")
    ((row, value),) = database.execute("SELECT rowid, value FROM Cache WHERE length(value) > 4000 LIMIT 1").fetchall()
    database.execute("UPDATE Cache SET value = ? WHERE rowid = ?", (bytes([value[0] ^ 1]) + value[1:], row))
    database.commit()
    database.close()
    asked = world.asked.total()
    found = world.resumed("--limit", 6)
    assert (found.status, world.asked.total()) == (2, asked)
    assert "recorded answers" in found.line
