"""`bbsmooth tune --batch`: each step is a round of jobs, and the coordinator is that of single requests."""

from __future__ import annotations

import json
import random
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from safetensors.torch import load_file

import bbsmooth as bb
from bbsmooth.api.sessions.tuning_resume import keep_event
from bbsmooth.errors import UsageError
from oracles import Budget, Ledger
from tests.bbsmooth.cli.world import Outcome, World, bbsmooth
from tests.children import KILLED, Commands
from tests.oracles.remote.batches.vendor import Vendor, picture_digest

VENDORS = ("openai", "anthropic", "gemini", "mistral")
CANARIES = 2
BUDGET = 128 + 3 * CANARIES
STEPS = 4


def pictures() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Grey pictures (16, 8, 8) near the middle, and their names."""
    greys = np.linspace(60, 195, 16).astype(np.uint8)
    return np.broadcast_to(greys[:, None, None], (16, 8, 8)).copy(), np.where(greys > 127, "bright", "dark")


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with Vendor().running() as running:
        yield running


@pytest.fixture
def place(tmp_path: Path) -> World:
    return prepared(tmp_path)


def prepared(folder: Path) -> World:
    images, labels = pictures()
    np.savez(folder / "greys.npz", x=images, y=labels)
    return World(folder)


def words(place: World, vendor: Vendor, kind: str, *arguments: object, out: Path | None = None) -> list[str]:
    given = [
        *(
            "tune",
            "--oracle",
            vendor.oracle(kind).replace("1x4x4", "1x8x8"),
            "--data",
            f"npz:{place.folder / 'greys.npz'}",
            "--sigma",
            0.5,
        ),
        *("--method", "spsa-gc", "--pretrain-epochs", 1, "--budget", BUDGET, "--steps", STEPS),
        *("--canaries", CANARIES, "--progress", "none", "--out", out or place.run),
        *(("--batch-poll", 0.001) if "--batch" in arguments else ()),
    ]
    return [*map(str, given), *map(str, arguments)]


def tune(place: World, vendor: Vendor, kind: str, *arguments: object, out: Path | None = None) -> Outcome:
    return bbsmooth(*words(place, vendor, kind, *arguments, out=out))


def found(run: Path) -> tuple[dict[str, list[Any]], list[dict[str, Any]], dict[str, Any]]:
    """What a tuning left: weights, history and summary, without what the clock says."""
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    summary = json.loads((run / "summary.json").read_text())
    for tree, name in (
        (summary, "seconds"),
        (summary, "files"),
        (summary, "usage"),
        (summary["pretraining"], "seconds"),
    ):
        tree.pop(name, None)
    weights = {name: tensor.tolist() for name, tensor in load_file(run / "coordinator.safetensors").items()}
    return weights, lines, summary


class Truth(NamedTuple):
    """The tuning of single requests.

    Attributes:
        found: what it left.
        asked: how often each picture was answered.
        queries: that tuning took.
    """

    found: Any
    asked: Counter[str]
    queries: int

    @property
    def jobs(self) -> int:
        """Of the same by batch: one for each step and each validation."""
        steps: int = self.found[2]["steps"]
        return steps + 3


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    place = prepared(tmp_path_factory.mktemp("truth"))
    with Vendor().running() as vendor:
        done = tune(place, vendor, "openai")
        assert done.status == 0, done.err
    return Truth(found(place.run), vendor.single, place.ledger()["spent"]["tune"])


@pytest.mark.parametrize("kind", VENDORS)
def test_it_is_one_job_a_round_with_the_coordinator_of_single_requests(
    place: World, vendor: Vendor, truth: Truth, kind: str
) -> None:
    done = tune(place, vendor, kind, "--batch")
    assert done.status == 0, done.err
    assert found(place.run) == truth.found
    assert len(vendor.jobs) == truth.jobs
    assert vendor.billed + vendor.single == truth.asked
    ledger = place.ledger()
    assert (ledger["spent"]["tune"], ledger["batched"]) == (vendor.billed.total(), vendor.billed.total())
    assert ledger["spent"]["drift"] == vendor.single.total()
    said = re.search(
        r"up to (\d+) rounds of questions one after the other, in (\d+) jobs or more; .* (\d+) hours", done.err
    )
    assert said is not None, done.err
    rounds, jobs, hours = map(int, said.groups())
    assert len(vendor.jobs) <= rounds == jobs == hours // 24 <= STEPS + 3
    assert bbsmooth("verify", place.run).status == 0


def test_a_run_that_is_stopped_while_a_job_is_under_way_picks_its_answers_up(
    place: World, vendor: Vendor, truth: Truth, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop_in_the_third(seconds: float) -> None:
        if len(vendor.jobs) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("time.sleep", stop_in_the_third)
        assert tune(place, vendor, "openai", "--batch").status == 130
    assert len(vendor.jobs) == 3
    refused = tune(place, vendor, "openai", "--resume")
    assert refused.status == 2
    assert refused.line.endswith("1 batch jobs of this run are under way or unsettled; go on with --batch")
    done = tune(place, vendor, "openai", "--batch", "--resume")
    assert done.status == 0, done.err
    assert found(place.run) == truth.found
    assert vendor.billed <= truth.asked
    assert vendor.billed.total() == place.ledger()["batched"] == truth.queries
    assert len(vendor.jobs) == truth.jobs


def test_very_many_rounds_must_be_asked_for(place: World, vendor: Vendor) -> None:
    given = words(place, vendor, "anthropic", "--batch")
    at = given.index("--steps")
    done = bbsmooth(*given[:at], *given[at + 2 :], "--budget", 20_000)
    assert done.status == 2
    said = re.search(
        r"--batch takes up to (\d+) rounds of questions one after the other, in \d+ jobs or more; Anthropic means to "
        r"answer each within 24 hours, so up to ([\d,]+) hours \((\d+) days\): give --steps, the most steps to take, "
        r"each with more questions \(20 make 23 rounds\), or leave --batch out$",
        done.line,
    )
    assert said is not None, done.line
    assert int(said[1]) > 30
    assert int(said[2].replace(",", "")) == 24 * int(said[1]) == 24 * int(said[3])
    assert not vendor.requests
    assert not place.run.exists()


@pytest.mark.parametrize(
    ("arguments", "words_of_it"),
    [
        (("--batch", "--looks", 2), "No such option"),
        (("--batch-poll", 3), "--batch-poll counts only with --batch"),
        (("--batch-discount", 0.3), "--batch-discount counts only with --batch"),
        (("--batch", "--engine", "ray"), "--batch leaves nothing to do for the workers"),
        (("--batch", "--budget", 5), "--budget: "),
        (("--batch", "--steps", 0), "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_asked(
    place: World, vendor: Vendor, arguments: tuple[object, ...], words_of_it: str
) -> None:
    done = tune(place, vendor, "openai", *arguments)
    assert (done.status, words_of_it in done.err) == (2, True), done.err
    assert not vendor.requests
    assert not place.run.exists()


def test_money_buys_twice_the_queries_and_is_never_exceeded(place: World, vendor: Vendor) -> None:
    money = ("--budget", 10_000, "--price", 10, "--max-price", 1.0)
    done = tune(place, vendor, "openai", "--batch", *money)
    assert done.status == 0, done.err
    ledger, single = place.ledger(), vendor.single.total()
    assert ledger["price"] == pytest.approx(0.01 * single + 0.005 * vendor.billed.total())
    assert 0.6 < ledger["price"] <= 1.0
    assert vendor.billed.total() > 100  # what single requests would buy
    refused = tune(place, vendor, "openai", *money, "--resume")  # which would buy half of that
    assert (refused.status, "was begun with --batch True" in refused.line) == (2, True)


def test_an_image_that_is_never_answered_ends_the_run_and_is_not_asked_about_again(
    place: World, vendor: Vendor, truth: Truth, monkeypatch: pytest.MonkeyPatch
) -> None:
    def picky(seconds: float) -> None:
        if len(vendor.jobs) == 2 and not vendor.never:
            vendor.never.add(picture_digest(vendor.jobs["batch_1"].items[0][1]))

    with monkeypatch.context() as patched:
        patched.setattr("time.sleep", picky)
        done = tune(place, vendor, "openai", "--batch")
    assert done.status == 4
    assert "answers others, but not one of these images, however often it is asked" in done.err
    jobs = len(vendor.jobs)
    assert tune(place, vendor, "openai", "--batch", "--resume").status == 4
    assert len(vendor.jobs) == jobs


def test_from_python_it_is_the_same(place: World, vendor: Vendor, truth: Truth) -> None:
    images, labels = pictures()
    settings: dict[str, Any] = {
        "noise": bb.Gaussian(sigma=0.5),
        "budget": bb.Budget(queries=BUDGET),
        "seed": 0,
        "run": place.run,
        "method": "spsa-gc",
        "epochs": 1,
        "steps": STEPS,
        "canaries": CANARIES,
    }
    with pytest.raises(UsageError, match="`looks` are of a certification"):
        bb.tune(vendor.oracle("openai"), images[:, None], labels, **settings, batch=bb.Batch(looks=3))
    name = vendor.oracle("openai").replace("1x4x4", "1x8x8")
    tuned = bb.tune(name, images[:, None], list(labels), **settings, batch=bb.Batch(poll_seconds=0.001))
    assert tuned.accuracy == truth.found[2]["heldout_accuracy_best"]
    assert found(place.run)[1] == truth.found[1]
    assert vendor.billed + vendor.single == truth.asked


@pytest.fixture(scope="module")
def children() -> Iterator[Commands]:
    with Commands() as running:
        yield running


@pytest.mark.parametrize("kills", [3, pytest.param(60, marks=[pytest.mark.slow, pytest.mark.timeout(1_200)])], ids=str)
def test_processes_killed_at_any_moment_keep_every_promise(children: Commands, truth: Truth, kills: int) -> None:
    chance, hits, world = random.Random(12), 0, 0
    while hits < kills:
        folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        with Vendor(world).running() as vendor:
            hits += survive(prepared(folder), vendor, children, chance, truth, most=kills - hits)
        shutil.rmtree(folder)
        world += 1


def survive(place: World, vendor: Vendor, children: Commands, chance: random.Random, truth: Truth, *, most: int) -> int:
    """Kill one run again and again, up to `most` times, let it end, and count the kills."""
    vendor.mute, vendor.busy = chance.choice([0.0, 0.3]), chance.choice([0.0, 0.3])
    given = words(place, vendor, chance.choice(VENDORS), "--batch")
    hits, status = 0, KILLED
    for status in children.until_done(given, place.run, chance=chance, within=(0.05, 1.5), most=min(most, 8)):
        hits += status == KILLED
        if (place.run / "ledger.json").exists():
            charged = Ledger(Budget(), place.run / "ledger.json")
            assert vendor.billed.total() <= charged.batched <= charged.total <= BUDGET
        assert vendor.billed <= truth.asked
    assert status in (0, 3)  # what was in flight when it was killed stays charged, and may be missing at the end
    if status == 0:
        assert found(place.run)[:2] == truth.found[:2]
    assert bbsmooth("verify", place.run).status == 0
    return hits


@pytest.mark.parametrize(("first", "then"), [(("--batch",), ()), ((), ("--batch",))], ids=["batch first", "then batch"])
def test_a_run_may_go_on_in_the_other_way(
    place: World,
    vendor: Vendor,
    truth: Truth,
    first: tuple[str, ...],
    then: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = list[int]()

    def stop_at_the_second(folder: Path, event: Any) -> None:
        kept.append(event["step"])
        if len(kept) == 2:
            raise KeyboardInterrupt
        keep_event(folder, event)

    with monkeypatch.context() as patched:
        patched.setattr("bbsmooth.api.sessions.tuning_task.keep_event", stop_at_the_second)
        patched.setattr("oracles.watch.CanaryWatch.written", property(lambda watch: 0))  # each step is kept at once
        assert tune(place, vendor, "openai", *first).status == 130
    done = tune(place, vendor, "openai", "--resume", *then)
    assert done.status == 0, done.err
    assert found(place.run) == truth.found
    assert vendor.billed.total() > 0
    assert place.ledger()["spent"]["tune"] == truth.queries
    assert place.ledger()["batched"] == vendor.billed.total() < truth.queries
