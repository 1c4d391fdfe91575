"""`tune`, `attack` and `predict` under kills: never a query over, no recorded answer paid for again, same results."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bbsmooth.assemble import describe_coordinator
from oracles import Budget, Ledger
from tests.bbsmooth.cli.world import World, build, picture
from tests.children import KILLED, Commands

BATCH = 16
"""Images in one call of the oracle, of which there is one at a time."""


@pytest.fixture(scope="module")
def children() -> Iterator[Commands]:
    with Commands() as running:
        yield running


@dataclass(frozen=True)
class Command:
    """A command that asks.

    Attributes:
        arguments: in a world, without `--out` and the budget.
        result: what a run of it found.
        in_flight: images that a kill may catch under way.
        budget: that it needs; None: it is measured.
    """

    arguments: Callable[[World], list[object]]
    result: Callable[[Path], Any]
    in_flight: int
    budget: int | None = None


def asking(world: World) -> list[object]:
    return ["--oracle", world.oracle(), "--batch-size", BATCH, "--concurrency", 1, "--progress", "none"]


def tuning(world: World) -> list[object]:
    data = f"npz:{world.folder / 'images.npz'}"
    return [
        "tune",
        "--oracle",
        world.oracle(),
        "--progress",
        "none",
        "--data",
        data,
        "--sigma",
        0.25,
        "--pretrain-epochs",
        1,
    ]


def predicting(world: World) -> list[object]:
    pictures = [picture(world.folder / "pictures" / f"{number}.png") for number in range(12)]
    return ["predict", *asking(world), "--sigma", 0.25, "--n", 40, *pictures]


def attacking(world: World) -> list[object]:
    options = ("--batch-size", BATCH, "--progress", "none", "--method", "hopskipjump", "--radius", 5)
    size = ("--search", 10, "--judge", 60, "--steps", 2, "--draws", 6, "--limit", 2)
    return ["attack", world.folder / "certified", *options, *size]


def tuned(run: Path) -> Any:
    events = (run / "history.jsonl").read_text().splitlines()
    return [json.loads(line) for line in events], describe_coordinator(run)


def predicted(run: Path) -> Any:
    return json.loads((run / "predictions.json").read_text())


def attacked(run: Path) -> Any:
    examples = sorted(path.name for path in (run / "examples").iterdir())
    return [json.loads(line) for line in (run / "attacks.jsonl").read_text().splitlines()], examples


COMMANDS = {
    "tune": Command(tuning, tuned, in_flight=256, budget=600),
    "predict": Command(predicting, predicted, in_flight=BATCH),
    "attack": Command(attacking, attacked, in_flight=BATCH),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("kills", [4, pytest.param(12, marks=[pytest.mark.slow, pytest.mark.timeout(1_200)])], ids=str)
def test_a_command_killed_at_any_moment_keeps_every_promise(
    tmp_path: Path, children: Commands, name: str, kills: int
) -> None:
    world, command, chance = build(tmp_path), COMMANDS[name], random.Random(name)
    if name == "attack":
        out = ["--out", tmp_path / "certified", "--batch-size", 256]
        assert children.run(["certify", *world.arguments(), *out]) == 0
        (tmp_path / "oracle.log").unlink()
    words = command.arguments(world)
    whole = tmp_path / "whole"
    budget = [] if command.budget is None else ["--budget", command.budget]
    assert children.run([*words, *budget, "--out", whole]) == 0
    truth, once = command.result(whole), world.asked
    queries = Ledger(Budget(), whole / "ledger.json").total
    assert once.total() == queries
    hits, number = 0, 0
    while hits < kills:
        number += 1
        (world.folder / "oracle.log").unlink()
        limit = command.budget or chance.choice([queries, queries + 40, 100 * queries])
        run = tmp_path / f"run{number}"
        hits += survive(world, command, [*words, "--budget", limit, "--out", run], run, children, chance, truth, once)


def survive(
    world: World,
    command: Command,
    words: list[object],
    run: Path,
    children: Commands,
    chance: random.Random,
    truth: Any,
    once: Counter[str],
) -> int:
    """Kill one command again and again, let it end, and count the kills."""
    limit, hits, status = int(str(words[words.index("--budget") + 1])), 0, KILLED
    for status in children.until_done(words, run, chance=chance, within=(0, 1.5), most=5):
        hits += status == KILLED
        asked, charged = world.asked, Ledger(Budget(), run / "ledger.json").total
        assert asked.total() <= charged <= limit
        assert (asked - once).total() <= hits * command.in_flight  # arrived, and not on record yet
        assert charged - (asked & once).total() <= hits * command.in_flight
    if status == 0:
        assert command.result(run) == truth
    else:
        assert status == 3
        assert hits > 0  # only what was in flight at a kill is missing from a budget that was enough
        assert limit < 100 * once.total()
    return hits
