"""`bbsmooth certify` while the model behind the oracle changes without a word."""

from __future__ import annotations

import json
import random
import signal
import time
from typing import Any, NamedTuple

import pytest

from tests.bbsmooth.cli.world import ORACLE, Outcome, World, killed

QUERIES = 50  # of one image
IMAGES = 6
CANARIES = 4
START = 2 * CANARIES

CHANGING = """
import math


def changing(images):
    # Another model while the file `other` is there, or after `switch` answers; if negative it breaks then.
    log, switch = HERE.with_suffix(".log"), HERE.with_name("switch")
    answered, after = len(log.read_text().splitlines()) if log.exists() else 0, math.inf
    if switch.exists():
        after = int(switch.read_text())
    if answered >= -after > 0:
        raise RuntimeError("out of memory")
    scores = counted(images)
    if HERE.with_name("other").exists() or answered >= after > 0:
        return np.tile([0.05, 0.05, 0.9], (len(images), 1))
    return np.concatenate([scores, np.zeros((len(images), 1))], 1)


def chance(images):
    counted(images)
    return np.random.default_rng().dirichlet([1, 1, 1], len(images))
"""


class Changing(NamedTuple):
    """A world whose classifier has three classes, the last of which only the other model answers."""

    world: World

    def certify(self, *arguments: object, function: str = "changing") -> Outcome:
        watched = () if "--canaries" in arguments else ("--canaries", CANARIES, "--canary-every", 60)
        return self.world.certify(
            *("--oracle", self.world.oracle(function, "num_classes=3&feedback=probabilities")),
            *(*watched, "--concurrency", 1, *arguments),
        )

    def switch(self, after: int) -> None:
        (self.world.folder / "switch").write_text(str(after))

    def broken(self, after: int) -> None:
        (self.world.folder / "switch").write_text(str(-after))

    def back(self) -> None:
        (self.world.folder / "switch").unlink()

    def truth(self) -> list[dict[str, Any]]:
        assert self.certify("--out", self.world.folder / "truth").status == 0
        (self.world.folder / "oracle.log").unlink()
        return self.world.certificates(self.world.folder / "truth")

    @property
    def drift(self) -> dict[str, Any]:
        return dict(json.loads((self.world.run / "manifest.json").read_text())["drift"])

    @property
    def spent(self) -> dict[str, int]:
        return dict(self.world.ledger()["spent"])


@pytest.fixture
def changing(world: World) -> Changing:
    (world.folder / "oracle.py").write_text(ORACLE + CHANGING)
    return Changing(world)


@pytest.mark.parametrize(
    "after", [START + 1, 200, pytest.param(120, marks=pytest.mark.slow), pytest.param(300, marks=pytest.mark.slow)]
)
def test_a_silent_change_stops_the_run_and_no_vote_of_the_other_model_counts(changing: Changing, after: int) -> None:
    truth = changing.truth()
    changing.switch(after)
    done = changing.certify()
    assert done.status == 4
    assert "was changed: " in done.line
    assert "canary images are not answered as when the run began" in done.line
    kept = changing.world.certificates()
    assert kept == truth[: len(kept)]
    assert max(0, after - START - 100) * 6 // (6 + CANARIES) // QUERIES <= len(kept) < IMAGES

    changed = changing.drift["changed"]
    assert len(changed) == 1
    assert "was changed" in changed[0]["what"]
    assert changed[0]["last_passed"]["queries"] <= after < changed[0]["queries"]

    before, asked = changing.spent, changing.world.asked.total()
    assert changing.certify("--resume").status == 4
    assert changing.world.asked.total() == asked + CANARIES
    assert changing.spent == before | {"drift": before["drift"] + CANARIES}
    assert changing.world.certificates() == kept

    changing.back()
    assert changing.certify("--resume").status == 0
    assert changing.world.certificates() == truth
    assert len(changing.drift["changed"]) == 2


def test_an_undisturbed_run_is_checked_at_start_on_the_way_and_at_the_end(changing: Changing) -> None:
    done = changing.certify()
    assert (done.status, done.err) == (0, "")
    checks = changing.drift["checks"]
    assert 1 + (IMAGES * QUERIES) // 76 + 1 <= checks <= 1 + (IMAGES * QUERIES) // 60 + 1
    assert changing.spent["drift"] == START + (checks - 1) * CANARIES
    assert changing.drift["deterministic"]
    assert changing.drift["last_passed"]["queries"] == changing.world.ledger()["spent_total"]


def test_certificates_equal_those_of_a_run_without_canaries(changing: Changing) -> None:
    truth = changing.truth()
    assert changing.certify("--canaries", 0).status == 0
    assert changing.world.certificates() == truth
    assert changing.spent["drift"] == 0


def test_going_on_with_a_complete_run_asks_nothing(changing: Changing) -> None:
    assert changing.certify().status == 0
    asked, found = changing.world.asked.total(), changing.world.certificates()
    assert changing.certify("--resume").status == 0
    killed(changing.world.run)
    (changing.world.run / "certificates.jsonl").unlink()  # all answers are on record
    assert changing.certify("--resume").status == 0
    assert changing.world.asked.total() == asked
    assert changing.world.certificates() == found


@pytest.mark.parametrize("budget", [150, *(pytest.param(size, marks=pytest.mark.slow) for size in (62, 330, 1000))])
def test_a_budget_pays_for_the_last_check_so_that_nothing_stays_undecided(changing: Changing, budget: int) -> None:
    truth = changing.truth()
    done = changing.certify("--budget", budget)
    assert done.status == (0 if budget == 1000 else 3)
    assert changing.world.asked.total() == changing.world.ledger()["spent_total"] <= budget
    kept = changing.world.certificates()
    assert kept == truth[: len(kept)]
    assert len(kept) >= min(IMAGES, (budget - START - 2 * CANARIES) * 6 // (6 + CANARIES) // QUERIES)
    assert changing.drift["last_passed"]["queries"] == changing.world.ledger()["spent_total"]
    asked = changing.world.asked
    assert changing.certify("--resume", "--budget", 1000).status == 0
    assert changing.world.certificates() == truth
    again = [image for image in changing.world.asked - asked if image in asked]
    assert len(again) <= CANARIES


def test_a_budget_for_votes_alone_is_refused(changing: Changing) -> None:
    done = changing.certify("--budget", QUERIES)
    assert done.status == 2
    assert "--n0 + --n + 3 times 4 for canaries = 62" in done.line
    assert changing.world.asked.total() == 0


def test_a_server_that_answers_by_chance_is_said_to(changing: Changing) -> None:
    done = changing.certify("--limit", 1, function="chance")
    assert done.status == 0
    assert "answers the same image differently" in done.err
    assert changing.drift["deterministic"] is False
    assert changing.spent["drift"] >= 12 * CANARIES


def test_local_oracles_are_not_checked(world: World) -> None:
    assert world.certify("--limit", 1).status == 0
    assert "drift" not in json.loads((world.run / "manifest.json").read_text())
    assert world.ledger()["spent"]["drift"] == 0


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--canaries", "-1"], "--canaries must not be negative, got -1"),
        (["--canary-every", "0"], "--canary-every must be at least 1 query, got 0"),
        (["--labels", "mine"], "--labels must be one of data, oracle, got 'mine'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_work_is_refused(world: World, arguments: list[str], line: str) -> None:
    done = world.certify(*arguments)
    assert done.status == 2
    assert line in done.line


def test_the_number_of_canaries_stays_and_the_rhythm_may_change(changing: Changing) -> None:
    assert changing.certify("--limit", 1).status == 0
    done = changing.certify("--resume", "--canaries", 2)
    assert done.status == 2
    assert "was begun with --canaries 4, not 2" in done.line
    assert changing.certify("--resume", "--canary-every", 7).status == 0


class Killed(NamedTuple):
    """Certifications in processes that are killed."""

    changing: Changing

    def run(self, seconds: float) -> bool:
        """Whether it was killed before it ended."""
        world, oracle = self.changing.world, "num_classes=3&feedback=probabilities"
        options = ["--oracle", world.oracle("changing", oracle), "--canaries", str(CANARIES), "--canary-every", "60"]
        asked = world.asked.total()
        with world.process("changing", *options, "--resume") as child:
            while world.asked.total() == asked and child.poll() is None:
                time.sleep(0.005)
            time.sleep(seconds)
            child.send_signal(signal.SIGKILL)
            return child.wait() == -signal.SIGKILL


@pytest.mark.parametrize("kills", [1, pytest.param(8, marks=pytest.mark.slow)], ids=str)
def test_killed_between_votes_and_checks_with_the_model_changing_meanwhile(changing: Changing, kills: int) -> None:
    truth, chance = changing.truth(), random.Random(3)
    assert changing.certify("--limit", 1).status == 0  # so that it is known which model is the first
    killed, other = Killed(changing), changing.world.folder / "other"
    for _ in range(kills):
        assert killed.run(chance.uniform(0, 0.02)) or changing.world.certificates() == truth
        kept = changing.world.certificates()
        assert kept == truth[: len(kept)]
        if kept == truth:
            break
        if chance.random() < 0.5:
            other.touch()
            assert changing.certify("--resume").status in (0, 4)
            assert changing.world.certificates() == truth[: len(changing.world.certificates())]
            other.unlink()
    assert changing.certify("--resume").status == 0
    assert changing.world.certificates() == truth


def test_what_is_not_confirmed_is_left_to_the_next_process_when_something_else_ends_the_run(changing: Changing) -> None:
    truth = changing.truth()
    changing.broken(100)
    assert changing.certify("--canary-every", 10_000).status == 4
    assert changing.world.certificates() == []
    changing.back()
    asked = changing.world.asked.total()
    assert changing.certify("--resume").status == 0
    assert changing.world.certificates() == truth
    assert changing.world.asked.total() < asked + changing.spent["drift"] + IMAGES * QUERIES - 80
