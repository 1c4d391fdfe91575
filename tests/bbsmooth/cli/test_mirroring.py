"""Runs behind a URL: killed, taken over, cut off, and gone on with from elsewhere."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from bbsmooth.runs.remote.staging import SECONDS, STAGING
from tests.bbsmooth.cli.test_certify import ALL
from tests.bbsmooth.cli.world import Outcome, World, bbsmooth, picture
from tests.waiting import LONG, until

BUDGET = 1000
"""Enough for what a lost machine takes with it."""

AUDITED = '''
import importlib.util
import json
from pathlib import Path

HERE = Path(__file__).parent
spec = importlib.util.spec_from_file_location("world_oracle", HERE / "oracle.py")
world = importlib.util.module_from_spec(spec)
spec.loader.exec_module(world)


def newest(drivers):
    """The last process's record; who takes over removes those before, perhaps just when one is to be read."""
    while True:
        try:
            return json.loads(max(drivers.glob("*.json")).read_text())
        except FileNotFoundError:
            continue


def audited(images):
    """As `counted`; notes it where the ledger at the URL does not know of every query so far, and holds."""
    answers = world.counted(images)
    asked = len((HERE / "oracle.log").read_text().splitlines())
    run = HERE / "store" / "run"
    ledger = newest(run / "drivers")["ledger"]
    known = (ledger or json.loads((run / "ledger.json").read_text()))["spent_total"]
    if asked > known:
        (HERE / "uncovered").write_text(f"{asked} asked, {known} known")
    world.hold()
    return answers
'''


@pytest.fixture(autouse=True)
def staging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv(STAGING, str(tmp_path / "here"))
    monkeypatch.setenv(SECONDS, "0.3")
    yield tmp_path / "here"
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def audited(world: World) -> World:
    (world.folder / "audited.py").write_text(AUDITED)
    return world


def url(world: World) -> str:
    return f"file://{world.folder}/store/run"


def arguments(world: World, *more: str) -> list[str]:
    oracle = f"module:{world.folder / 'audited.py'}:audited?num_classes=2"
    return ["--oracle", oracle, "--out", url(world), "--budget", str(BUDGET), *more]


def at_url(world: World, name: str) -> Any:
    return json.loads((world.folder / "store" / "run" / name).read_text())


@contextmanager
def certifying(world: World, *, after: int) -> Iterator[Any]:
    """A process that certifies, held after as many answers until the block ends."""
    with world.holding(after), world.process("counted", *arguments(world)) as child:
        until(lambda: world.asked.total() >= after or child.poll() is not None)
        assert child.poll() is None, child.communicate()
        yield child


def wait_until_held_no_more(world: World) -> None:
    time.sleep(max(0.0, _until(world) - time.time()))


def note(world: World) -> Any:
    return json.loads(max((world.folder / "store" / "run" / "drivers").glob("*.json")).read_text())


def _until(world: World) -> float:
    return datetime.fromisoformat(note(world)["until"]).timestamp()


def sound(world: World) -> None:
    """The run at the URL is as if nothing had happened, and the books are right."""
    out = world.folder / "store" / "run"
    assert world.certificates(out) == world.undisturbed()
    files = {path.name for path in out.rglob("*") if path.is_file() and path.parent.name != "drivers"}
    assert {name for name in files if not name.endswith(".tmp")} == {  # which a process that was killed leaves aside
        *("manifest.json", "commitment.json", "ledger.json", "certificates.jsonl", "summary.json", "cache.db")
    }
    assert (note(world)["released"], note(world)["ledger"]) == (True, None)
    ledger = at_url(world, "ledger.json")
    assert world.asked.total() <= ledger["spent_total"] <= BUDGET
    assert "reserved" not in ledger
    assert not (world.folder / "uncovered").exists()
    assert bbsmooth("verify", url(world)).status == 0


@pytest.mark.parametrize(
    "address", ["memory://bucket/run", "file://{folder}/store/run", "dir::file://{folder}/store/run"]
)
def test_a_run_behind_a_url_is_a_run(world: World, address: str, staging: Path) -> None:
    out = address.format(folder=world.folder)
    done = world.certify("--out", out)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"run     {out[:60]}")  # a long one is cut
    assert world.asked.total() == ALL
    assert list(staging.glob("*/*")) == []  # nothing is left here
    again = world.resumed("--out", out, "--json")
    assert (again.status, world.asked.total()) == (0, ALL)
    assert json.loads(again.out)["run"] == out
    assert json.loads(again.out)["ledger"]["spent_total"] == ALL
    assert "holds a run already; go on with it by --resume" in world.certify("--out", out).line
    assert bbsmooth("verify", out).status == 0
    assert f"two or more different runs, got {out}, {out}" in bbsmooth("compare", out, out).line
    assert world.certify("--seed", 1).status == 0
    assert bbsmooth("compare", out, world.run).status == 0
    assert bbsmooth("report", out, "--format", "tsv").out.count("\n") == 7
    assert "name a file to write with --out" in bbsmooth("report", out).line
    page = world.folder / "page.html"
    assert bbsmooth("report", out, "--out", page).status == 0
    assert page.stat().st_size > 10_000


def test_a_url_that_holds_no_run(world: World) -> None:
    assert "holds no manifest.json" in bbsmooth("verify", "memory://bucket/run").line
    fsspec.filesystem("memory").pipe_file("/bucket/run/notes.txt", b"mine")
    assert "is not empty and holds no run" in world.certify("--out", "memory://bucket/run").line
    assert "Protocol not known" in world.certify("--out", "nowhere://bucket/run").line
    assert world.asked.total() == 0


def test_what_is_refused_leaves_nothing_at_the_url(world: World) -> None:
    assert world.certify("--out", "memory://bucket/run", "--budget", 49).status == 2
    assert fsspec.filesystem("memory").find("/bucket") == []
    assert world.certify("--out", "memory://bucket/run").status == 0
    refused = world.resumed("--out", "memory://bucket/run", "--sigma", 0.5)
    assert "memory://bucket/run was begun with --sigma 0.25, not 0.5" in refused.line
    assert bbsmooth("verify", "memory://bucket/run").status == 0


def test_a_run_that_its_budget_has_stopped_goes_on(world: World) -> None:
    stopped = world.certify("--out", "memory://bucket/run", "--budget", 120)
    assert stopped.status == 3
    assert "is saved in memory://bucket/run, and the same command" in stopped.err
    assert world.resumed("--out", "memory://bucket/run", "--budget", 400).status == 0
    assert world.asked.total() == ALL


def test_another_machine_goes_on_from_a_driver_that_was_killed(
    audited: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with certifying(audited, after=100) as child:
        child.send_signal(signal.SIGKILL)
        child.communicate(timeout=LONG)
    killed = note(audited)["ledger"]
    assert killed["spent_total"] >= audited.asked.total()
    assert killed["reserved"]["queries"] <= BUDGET // 50
    monkeypatch.setenv(STAGING, str(tmp_path / "elsewhere"))
    wait_until_held_no_more(audited)
    done = audited.resumed(*arguments(audited))
    assert done.status == 0, done.err
    assert f"{killed['reserved']['queries']} queries that a lost process had reserved" in done.err
    sound(audited)


def test_the_same_machine_goes_on_from_what_is_newer_here(audited: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECONDS, "30")  # so that nothing but the ledger is mirrored before the end
    with certifying(audited, after=100) as child:
        child.send_signal(signal.SIGKILL)
        child.communicate(timeout=LONG)
    done = audited.resumed(*arguments(audited))  # without waiting: the lost process was here
    assert (done.status, done.err) == (0, "")
    assert audited.asked.total() <= ALL + 2 * 16  # what was in flight is asked again, and nothing else
    sound(audited)


@pytest.mark.slow
def test_a_driver_that_was_thought_lost_spends_nothing_more(
    audited: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with certifying(audited, after=60) as child:
        child.send_signal(signal.SIGSTOP)  # a machine that sleeps
        wait_until_held_no_more(audited)
        monkeypatch.setenv(STAGING, str(tmp_path / "elsewhere"))
        (audited.folder / "hold").unlink()
        done = audited.resumed(*arguments(audited))
        assert done.status == 0, done.err
        asked = audited.asked.total()
        child.send_signal(signal.SIGCONT)
        _, err = child.communicate(timeout=LONG)
    assert child.returncode == 1
    assert "another process has taken over" in err
    assert audited.asked.total() <= asked + 2 * 16  # two calls were under way, and charged, when it fell asleep
    sound(audited)


def test_an_interrupted_run_is_whole_at_the_url(audited: World, staging: Path) -> None:
    with certifying(audited, after=60) as child:
        audited.signalled(child, signal.SIGTERM, after=60)
        _, err = child.communicate(timeout=LONG)
    assert child.returncode == 130
    assert f"is saved in {url(audited)}, and the same command with --resume" in err
    assert at_url(audited, "ledger.json")["spent_total"] == audited.asked.total()
    assert list(staging.glob("*/*")) == []
    assert audited.resumed(*arguments(audited)).status == 0
    assert audited.asked.total() == ALL
    sound(audited)


class Flaky(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A store that cannot be written to at times."""

    protocol = "flaky"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    writes_left: ClassVar[int] = 10**9

    def pipe_file(self, *arguments: Any, **options: Any) -> None:
        self._count()
        super().pipe_file(*arguments, **options)

    def put_file(self, *arguments: Any, **options: Any) -> None:
        self._count()
        super().put_file(*arguments, **options)

    def _count(self) -> None:
        Flaky.writes_left -= 1
        if Flaky.writes_left < 0:
            raise ConnectionError("the store is away")


@pytest.mark.parametrize("writes", [0, 1, 3, 4, 12, 20, 30])
def test_a_store_that_is_away_stops_the_run_and_costs_nothing(
    world: World, writes: int, staging: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec.register_implementation("flaky", Flaky, clobber=True)
    Flaky.store.clear()
    monkeypatch.setattr(Flaky, "writes_left", writes)
    stopped = world.certify("--out", "flaky://bucket/run", "--budget", 400)
    assert stopped.status == 1
    assert "the store is away" in stopped.err
    notes = sorted(path for path in Flaky.store if "/drivers/" in path and path.endswith(".json"))
    known = json.loads(Flaky.store[notes[-1]].getvalue())["ledger"] if notes else None
    assert world.asked.total() <= (0 if known is None else known["spent_total"])

    monkeypatch.setattr(Flaky, "writes_left", 10**9)
    done = world.resumed("--out", "flaky://bucket/run", "--budget", 400)
    assert done.status == 0, done.err
    assert world.asked.total() == ALL
    assert bbsmooth("verify", "flaky://bucket/run").status == 0
    assert list(staging.glob("*/*")) == []


def test_predictions_and_plans_are_mirrored_too(world: World) -> None:
    image = picture(world.folder / "one.png")
    asked = ("--oracle", world.oracle(), "--sigma", 0.25, "--out", "memory://bucket/run", "--json")
    done = bbsmooth("predict", image, *asked, "--n", 20)
    assert json.loads(done.out)["predictions"][0]["predicted"] == 0
    assert bbsmooth("verify", "memory://bucket/run").status == 0
    data = ("--data", f"npz:{world.folder / 'images.npz'}", "--radius", 0.1, "--pilot", 2, "--n0", 10)
    planned = bbsmooth("plan", *asked[:4], "--out", "memory://bucket/plan", *data)
    assert (planned.status, "--reuse" in planned.out) == (0, False)
    assert "/bucket/plan/responses/cache.db" in fsspec.filesystem("memory").find("/bucket")


def test_a_trained_model_is_mirrored_file_by_file(tmp_path: Path) -> None:
    done = bbsmooth(
        *("train", "--model", "local-vit", "--data", "mnist5k", "--sigma", 0.5, "--epochs", 1, "--train-images", 64),
        *("--method", "lora", "--out", "memory://bucket/run", "--progress", "none"),
    )
    assert (done.status, done.err) == (0, "")
    names = {name.removeprefix("/bucket/run/") for name in fsspec.filesystem("memory").find("/bucket/run")}
    assert names == {
        *("manifest.json", "summary.json", "history.jsonl", "model.json"),
        *("adapter/adapter_config.json", "adapter/adapter_model.safetensors"),
        *(name for name in names if name.startswith("drivers/00000001-")),
    }
    assert bbsmooth("verify", "memory://bucket/run").status == 0


@pytest.mark.parametrize("seconds", ["0", "soon", "-1", "inf"])
def test_nonsense_in_the_environment(world: World, seconds: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECONDS, seconds)
    refused: Outcome = world.certify("--out", "memory://bucket/run")
    assert f"{SECONDS} must be a number of seconds above 0, got {seconds!r}" in refused.line
    assert os.environ[SECONDS] == seconds
