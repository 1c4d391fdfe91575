"""Whatever happened to the files of a run: to go on, or to reuse it, ends right or in one line; no answer is lost.

Right is: the results of an undisturbed run, within the budget. One line is: status 2, nothing asked, and once the file
is restored the run goes on as if nothing had happened.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bbsmooth.runs.layout import MANIFEST
from oracles import Budget, Ledger
from tests.bbsmooth.cli.world import Outcome, World, bbsmooth, build, killed
from tests.test_commands_under_fire import attacked, attacking, predicted, predicting, tuned, tuning


def certifying(world: World) -> list[object]:
    return ["certify", *world.arguments()[:-2]]


def certified(run: Path) -> Any:
    return sorted(World(run.parent).certificates(run), key=lambda line: int(line["index"]))


@dataclass(frozen=True)
class Ended:
    """A run that ended, and what a repetition of it must find.

    Attributes:
        world: where it is.
        words: the command, without `--out`.
        run: its directory.
        result: reads what a run found.
        queries: that it took.
    """

    world: World
    words: list[object]
    run: Path
    result: Callable[[Path], Any]
    queries: int

    def again(self, run: Path, *more: object) -> Outcome:
        """Do it again elsewhere."""
        return bbsmooth(*self.words, "--out", run, *more)


COMMANDS: dict[str, tuple[Callable[[World], list[object]], Callable[[Path], Any]]] = {
    "certify": (certifying, certified),
    "tune": (tuning, tuned),
    "predict": (predicting, predicted),
    "attack": (attacking, attacked),
}


@pytest.fixture(scope="module", params=COMMANDS)
def ended(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    world = build(tmp_path_factory.mktemp(request.param))
    command, result = COMMANDS[request.param]
    if request.param == "attack":
        assert world.certify(out=world.folder / "certified").status == 0
    words, run = command(world), world.folder / "whole"
    words += ["--budget", 600] if request.param == "tune" else ["--budget", 40_000]
    assert bbsmooth(*words, "--out", run).status == 0
    return Ended(world, words, run, result, Ledger(Budget(), run / "ledger.json").total)


def damages(raw: bytes, chance: random.Random) -> Iterator[tuple[str, bytes | None]]:
    """What may happen to a file."""
    yield "gone", None
    yield "empty", b""
    yield "torn", raw[: chance.randrange(1, len(raw))]
    place = chance.randrange(len(raw))
    yield f"bit at {place}", raw[:place] + bytes([raw[place] ^ 1 << chance.randrange(8)]) + raw[place + 1 :]
    lines = raw.splitlines(keepends=True)
    if len(lines) > 1:
        line = chance.randrange(len(lines))
        yield f"without line {line}", b"".join([*lines[:line], *lines[line + 1 :]])


@pytest.mark.parametrize("standing", ["killed", "ended"])
def test_damage_is_mended_or_told(ended: Ended, tmp_path: Path, standing: str) -> None:
    chance, wrong = random.Random(f"{ended.words[0]}, {standing}"), []
    files = [path for path in sorted(ended.run.rglob("*")) if path.is_file() and "db-" not in path.name]
    names = [path.relative_to(ended.run) for path in files]
    for name in names:
        for what, damaged in damages((ended.run / name).read_bytes(), chance):
            run = Path(shutil.copytree(ended.run, tmp_path / "run"))
            if standing == "killed":
                killed(run)
            if said := disturbed(ended, run, name, damaged):
                wrong.append((str(name), what, said))
            shutil.rmtree(run)
    assert not wrong, "\n".join(map(str, wrong))


def disturbed(ended: Ended, run: Path, name: Path, damaged: bytes | None) -> Any:
    """What is wrong with how a run goes on from a damaged file."""
    raw, asked = (run / name).read_bytes(), ended.world.asked.total()
    (run / name).unlink() if damaged is None else (run / name).write_bytes(damaged)
    done = ended.again(run, "--resume")
    more = ended.world.asked.total() - asked
    if done.status == 0:
        if ended.result(run) != ended.result(ended.run):
            return "other results"
        return f"{more} queries more" if more else None
    lines = done.err.splitlines()
    if done.status != 2 or "Traceback" in done.err or not lines or more:
        return done, more
    if name.name == MANIFEST or name.parts[0] == "responses":
        return None
    (run / name).write_bytes(raw)
    again = ended.again(run, "--resume")
    if again.status != 0 or ended.result(run) != ended.result(ended.run) or ended.world.asked.total() != asked:
        return "after restoring", lines[-1], again
    return None
