"""`bbsmooth certify --batch`: half the price, and the very certificates of single requests."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bbsmooth as bb
from bbsmooth.runs.remote.staging import STAGING
from oracles import Budget, Ledger
from tests.bbsmooth.cli.world import Outcome, World, bbsmooth
from tests.children import KILLED, Commands
from tests.oracles.remote.batches.vendor import Vendor

VENDORS = ("openai", "anthropic", "gemini", "mistral")
GREYS = np.array([70, 105, 190], dtype=np.uint8)
IMAGES = np.broadcast_to(GREYS[:, None, None], (3, 4, 4)).copy()
VOTES = 3 * 25
CANARIES = 2
PRICES = {"per_million_input_tokens": 1000, "per_million_output_tokens": 10_000, "max_input_tokens": 200}


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with Vendor().running() as running:
        yield running


@pytest.fixture
def place(tmp_path: Path) -> World:
    np.savez(tmp_path / "greys.npz", x=IMAGES)
    return World(tmp_path)


def words(place: World, vendor: Vendor, kind: str, *arguments: object, out: Path | None = None) -> list[str]:
    given = [
        *("certify", "--oracle", vendor.oracle(kind), "--data", f"npz:{place.folder / 'greys.npz'}", "--sigma", 0.5),
        *("--n0", 5, "--n", 20, "--alpha", 0.05, "--canaries", CANARIES),
        *("--progress", "none", "--out", out or place.run),
        *(("--batch-poll", 0.001) if "--batch" in arguments else ()),
    ]
    return [*map(str, given), *map(str, arguments)]


def certify(place: World, vendor: Vendor, kind: str, *arguments: object, out: Path | None = None) -> Outcome:
    return bbsmooth(*words(place, vendor, kind, *arguments, out=out))


SEQUENTIAL = ("--method", "sequential", "--radius", 0.25, "--n", 200)


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """The certificates of single requests, by method."""
    place = World(tmp_path_factory.mktemp("truth"))
    np.savez(place.folder / "greys.npz", x=IMAGES)
    found = {}
    with Vendor().running() as vendor:
        for method, options in (("cohen", ()), ("sequential", SEQUENTIAL)):
            out = place.folder / method
            assert certify(place, vendor, "openai", *options, out=out).status == 0
            found[method] = place.certificates(out)
    return found


@pytest.mark.parametrize("kind", VENDORS)
def test_cohen_is_one_job_with_the_certificates_of_single_requests(
    place: World, vendor: Vendor, truth: dict[str, list[dict[str, Any]]], kind: str
) -> None:
    assert certify(place, vendor, kind, "--batch", "--price", 10).status == 0
    assert place.certificates() == truth["cohen"]
    assert [len(job.items) for job in vendor.jobs.values()] == [VOTES]
    assert set(vendor.billed.values()) == {1}
    ledger, single = place.ledger(), vendor.single.total()
    assert (ledger["spent_total"], ledger["batched"], ledger["spent"]["drift"]) == (VOTES + single, VOTES, single)
    tokens = ledger["usage"]
    assert (tokens["answers"], tokens["input_tokens"]) == (VOTES + single, 120 * (VOTES + single))
    assert (ledger["batch_price_per_1000"], ledger["price"]) == (5.0, pytest.approx(0.01 * single + 0.005 * VOTES))
    assert bbsmooth("verify", place.run).status == 0
    assert bbsmooth("report", place.run).status == 0


def test_sequential_takes_few_looks_and_finds_the_same(
    place: World, vendor: Vendor, truth: dict[str, list[dict[str, Any]]]
) -> None:
    assert certify(place, vendor, "openai", *SEQUENTIAL, "--batch", "--looks", 3).status == 0
    assert sorted(place.certificates(), key=lambda line: line["index"]) == truth["sequential"]
    assert 1 < len(vendor.jobs) <= 3
    assert set(vendor.billed.values()) == {1}
    assert bbsmooth("verify", place.run).status == 0


def test_from_python_it_is_the_same(place: World, vendor: Vendor, truth: dict[str, list[dict[str, Any]]]) -> None:
    plan = bb.Cohen(num_selection=5, num_estimation=20, alpha=0.05)
    found = bb.certify(
        vendor.oracle("anthropic"),
        IMAGES[:, None],
        noise=bb.Gaussian(sigma=0.5),
        plan=plan,
        seed=0,
        run=place.run,
        canaries=CANARIES,
        batch=bb.Batch(poll_seconds=0.001),
    )
    assert found.complete
    lines = place.certificates()
    assert [line["counts"] for line in lines] == [line["counts"] for line in truth["cohen"]]
    assert [len(job.items) for job in vendor.jobs.values()] == [VOTES]


def test_a_run_that_is_stopped_while_a_job_is_under_way_picks_its_answers_up(
    place: World, vendor: Vendor, truth: dict[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor.looks = 10**9

    def stop(seconds: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("time.sleep", stop)
        assert certify(place, vendor, "openai", "--batch", "--price", 10).status == 130
    assert len(vendor.jobs) == 1
    refused = certify(place, vendor, "openai", "--resume")
    assert refused.status == 2
    assert refused.line.endswith("1 batch jobs of this run are under way or unsettled; go on with --batch")
    refused = certify(place, vendor, "openai", "--batch", "--reuse", place.run, out=place.folder / "again")
    assert refused.status == 2
    assert "1 batch jobs of " in refused.line
    assert refused.line.endswith("end it with --batch and --resume before its answers are taken over")
    assert not (place.folder / "again").exists()
    next(iter(vendor.jobs.values())).looks_left = 0
    assert certify(place, vendor, "openai", "--batch", "--resume").status == 0
    assert place.certificates() == truth["cohen"]
    assert len(vendor.jobs) == 1
    ledger, single = place.ledger(), vendor.single.total()
    assert ledger["batched"] == vendor.billed.total() == VOTES
    assert ledger["price"] == pytest.approx(0.01 * single + 0.005 * VOTES)  # as it was said when it began


def test_images_that_the_budget_does_not_hold_are_left(
    place: World, vendor: Vendor, truth: dict[str, list[dict[str, Any]]]
) -> None:
    done = certify(place, vendor, "openai", "--batch", "--price", 10, "--max-price", 0.3 + 0.06 * CANARIES)
    assert done.status == 3
    assert place.certificates() == truth["cohen"][:2]
    assert vendor.billed.total() == 50
    assert place.ledger()["price"] <= 0.3 + 0.06 * CANARIES
    done = certify(place, vendor, "openai", "--batch", "--price", 10, "--resume")
    assert place.certificates() == truth["cohen"]
    assert set(vendor.billed.values()) == {1}


def test_another_model_in_the_batch_is_noticed(place: World, vendor: Vendor) -> None:
    end = vendor.end

    def another(job: Any) -> None:
        vendor.model = "vlm-2"
        end(job)

    vendor.end = another  # type: ignore[method-assign]
    done = certify(place, vendor, "openai", "--batch")
    assert done.status == 4
    assert "was changed: its model was 'vlm-1'" in done.err
    assert place.certificates() == []


def planned(place: World, vendor: Vendor, *arguments: object) -> Outcome:
    given = ("--oracle", vendor.oracle("openai"), "--data", f"npz:{place.folder / 'greys.npz'}", "--sigma", 0.5)
    options = ("--radius", 0.25, "--n0", 10, "--n", 200, "--pilot", 2, "--pilot-draws", 6, "--canaries", CANARIES)
    return bbsmooth("plan", *given, *options, "--price", 10, *arguments)


def test_plan_tells_both_prices_and_how_long_it_takes(place: World, vendor: Vendor) -> None:
    done = planned(place, vendor, "--json")
    assert done.status == 0
    cohen, sequential = json.loads(done.out)["expected"]
    votes, canaries = 3 * 210, 3 * CANARIES
    assert cohen["by_batch"]["looks"] == 1
    assert cohen["by_batch"]["hours_at_most"] == 24
    assert cohen["by_batch"]["queries"]["expected"] == cohen["queries"]["expected"] == votes + canaries
    assert cohen["by_batch"]["price"]["expected"] == pytest.approx(votes * 0.005 + canaries * 0.01)
    assert (sequential["by_batch"]["looks"], sequential["by_batch"]["hours_at_most"]) == (4, 96)
    assert sequential["queries"]["expected"] <= sequential["by_batch"]["queries"]["expected"] <= votes + canaries
    assert sequential["by_batch"]["price"]["expected"] < sequential["price"]["expected"]
    assert "by_batch" not in json.loads(done.out)["pilot"]
    assert not vendor.jobs


def test_a_pilot_by_batch_is_paid_for_once(place: World, vendor: Vendor) -> None:
    pilot = place.folder / "pilot"
    done = planned(place, vendor, "--batch", "--batch-poll", 0.001, "--out", pilot)
    assert done.status == 0
    assert "with --batch:" in done.out
    assert vendor.billed.total() == 12
    assert json.loads((pilot / "ledger.json").read_text())["price"] == pytest.approx(12 * 0.005)
    options = ("--n0", 10, "--radius", 0.25, "--n", 200, "--method", "sequential", "--reuse", pilot)
    assert certify(place, vendor, "openai", *options, "--batch").status == 0
    assert set(vendor.billed.values()) == {1}
    assert place.ledger()["batched"] == vendor.billed.total() - 12
    assert bbsmooth("verify", place.run).status == 0


@pytest.mark.parametrize(
    ("oracle", "options", "words"),
    [
        ("ollama+http://127.0.0.1:9?model=m&labels=a,b", (), "--batch needs an oracle whose vendor has a batch"),
        ("openai+http://127.0.0.1:9/v1?model=m&labels=a,b", ("--engine", "ray"), "--batch leaves nothing to do for"),
        ("openai+http://127.0.0.1:9/v1?model=m&labels=a,b&batches=x", (), "batches should be openai or mistral"),
        ("openai+http://127.0.0.1:9/v1?model=m&labels=a,b", ("--looks", 0), "looks"),
        (
            "openai+http://127.0.0.1:9/v1?model=m&labels=a,b",
            ("--batch-discount", 1),
            "--batch-discount must be a share",
        ),
        ("openai+http://127.0.0.1:9/v1?model=m&labels=a,b", ("--batch-poll", 0), "--batch-poll must be a number"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_asked(
    place: World, oracle: str, options: tuple[object, ...], words: str
) -> None:
    arguments = ("--oracle", oracle, "--data", f"npz:{place.folder / 'greys.npz'}", "--sigma", 0.5, "--out", place.run)
    done = bbsmooth("certify", *arguments, "--batch", *options)
    assert done.status == 2
    assert words in done.err
    assert not place.run.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--looks", 3), "--looks counts only with --batch"),
        (("--batch", "--looks", 3), "--looks counts only with --method sequential, got cohen"),
        (("--batch-poll", 3), "--batch-poll counts only with --batch"),
        (("--batch-discount", 0.2), "--batch-discount counts only with --batch"),
    ],
)
def test_what_would_be_ignored_is_refused(
    place: World, vendor: Vendor, options: tuple[object, ...], words: str
) -> None:
    arguments = ("--oracle", vendor.oracle("openai"), "--data", f"npz:{place.folder / 'greys.npz'}", "--sigma", 0.5)
    done = bbsmooth("certify", *arguments, "--out", place.run, *options)
    assert (done.status, words in done.line) == (2, True)
    assert not vendor.requests


def test_a_plan_forecasts_batches_with_its_own_looks_and_asks_by_batch_only_where_it_is_kept(
    place: World, vendor: Vendor
) -> None:
    done = planned(place, vendor, "--looks", 2, "--batch-discount", 0.25, "--json")
    assert done.status == 0
    batched = json.loads(done.out)["expected"][-1]["by_batch"]
    assert (batched["looks"], batched["discount"]) == (2, 0.25)
    for options, words in (
        (("--batch-poll", 3), "--batch-poll counts only with --batch"),
        (("--method", "cohen", "--looks", 2), "--looks counts only with --method sequential"),
        (("--batch",), "--batch needs --out, a directory on this machine"),
    ):
        refused = planned(place, vendor, *options)
        assert (refused.status, words in refused.line) == (2, True)
    assert not vendor.jobs


def test_a_run_behind_a_url_is_refused(place: World, vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STAGING, str(place.folder / "here"))
    done = certify(place, vendor, "openai", "--batch", "--out", f"file://{place.folder}/store/run")
    assert done.status == 2
    assert "--batch needs --out, a directory on this machine" in done.err
    assert not vendor.jobs


@pytest.fixture(scope="module")
def children() -> Iterator[Commands]:
    with Commands() as running:
        yield running


@pytest.mark.parametrize("kills", [3, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(1_200)])], ids=str)
def test_processes_killed_at_any_moment_keep_every_promise(
    children: Commands, truth: dict[str, list[dict[str, Any]]], kills: int
) -> None:
    chance, hits, world = random.Random(11), 0, 0
    while hits < kills:
        folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        np.savez(folder / "greys.npz", x=IMAGES)
        with Vendor(world).running() as vendor:
            hits += survive(World(folder), vendor, children, chance, truth, most=kills - hits)
        shutil.rmtree(folder)
        world += 1


def survive(
    place: World,
    vendor: Vendor,
    children: Commands,
    chance: random.Random,
    truth: dict[str, list[dict[str, Any]]],
    *,
    most: int,
) -> int:
    """Kill one run again and again, up to `most` times, let it end, and count the kills."""
    vendor.mute, vendor.busy, vendor.expiring = chance.choice([0.0, 0.3]), chance.choice([0.0, 0.3]), 0.1
    kind, method = chance.choice(VENDORS), chance.choice(list(truth))
    budget, money = 4_000, 2_100
    given = words(
        *(place, vendor, kind, *(SEQUENTIAL if method == "sequential" else ()), "--batch"),
        *("--budget", budget, "--prices", json.dumps(PRICES), "--max-price", money),
    )
    hits, status = 0, KILLED
    for status in children.until_done(given, place.run, chance=chance, within=(0.02, 0.3), most=min(most, 8)):
        hits += status == KILLED
        if (place.run / "ledger.json").exists():
            charged = Ledger(Budget(), place.run / "ledger.json")
            assert vendor.billed.total() <= charged.batched <= charged.total <= budget
            bill = 0.16 * (vendor.single.total() + vendor.billed.total() / 2)  # 120 tokens read, 4 written
            assert bill - 1e-9 <= charged.price <= money
        assert max(vendor.billed.values(), default=0) <= 1
    assert status == 0
    assert sorted(place.certificates(), key=lambda line: line["index"]) == truth[method]
    assert bbsmooth("verify", place.run).status == 0
    return hits
