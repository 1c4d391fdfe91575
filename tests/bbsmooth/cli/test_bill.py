"""What a vendor bills, as commands count it, limit it, forecast it and report it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bbsmooth as bb
from bbsmooth.runs.files import write_json
from bbsmooth.runs.hashes import run_hashes
from tests.bbsmooth.cli.world import Outcome, World, bbsmooth
from tests.oracles.remote.batches.vendor import Vendor

GREYS = np.array([70, 105, 190], dtype=np.uint8)
IMAGES = np.broadcast_to(GREYS[:, None, None], (3, 4, 4)).copy()
CANARIES, VOTES = 2, 3 * 25
EACH, WORST = 0.16, 0.52
"""Price of a reply of the vendor (120 tokens read, 4 written), and of one with 200 and 32."""

MONEY = 8.0
"""Enough for one image, its canaries and a part of the next."""

FILE = """
currency = "EUR"
date = 2026-11-02
source = "https://example.org/prices"
per_million_input_tokens = 1000
per_million_output_tokens = 10_000
max_input_tokens = 200
batch_discount = 0.25
"""


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with Vendor().running() as running:
        yield running


@pytest.fixture
def place(tmp_path: Path) -> World:
    np.savez(tmp_path / "greys.npz", x=IMAGES)
    (tmp_path / "prices.toml").write_text(FILE)
    return World(tmp_path)


def words(place: World, vendor: Vendor) -> list[object]:
    return ["--oracle", vendor.oracle("openai"), "--data", f"npz:{place.folder / 'greys.npz'}", "--sigma", 0.5]


def certify(place: World, vendor: Vendor, *arguments: object, prices: object = None) -> Outcome:
    prices = place.folder / "prices.toml" if prices is None else prices
    sizes = ("--n0", 5, "--n", 20, "--alpha", 0.05, "--canaries", CANARIES, "--out", place.run)
    return bbsmooth("certify", *words(place, vendor), *sizes, "--prices", prices, *arguments)


def summary(place: World) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((place.run / "summary.json").read_text())
    return found


@pytest.mark.parametrize(
    "ways",
    [
        ("accept", "--radius", 0.1, "--at-least", 0.5, "--canaries", 0),
        ("plan", "--radius", 0.1, "--pilot", 2),
        ("tune", "--budget", 150, "--pretrain-epochs", 1, "--method", "spsa", "--canaries", 0),
    ],
    ids=lambda ways: ways[0],
)
def test_the_usage_of_any_run_is_what_its_ledger_says(
    place: World, vendor: Vendor, ways: tuple[object, ...], tmp_path: Path
) -> None:
    command, *arguments = ways
    greys = np.broadcast_to(np.tile(GREYS, 4)[:, None, None], (12, 8, 8))
    np.savez(tmp_path / "labelled.npz", x=greys, y=[0, 0, 1] * 4, classes=["dark", "bright"])
    oracle = vendor.oracle("openai").replace("1x4x4", "1x8x8")
    data = ("--oracle", oracle, "--data", f"npz:{tmp_path / 'labelled.npz'}", "--sigma", 0.5)
    done = bbsmooth(command, *data, *arguments, "--prices", place.folder / "prices.toml", "--out", place.run)
    assert done.status in (0, 5), done.err
    assert summary(place)["usage"]["answers"] == vendor.single.total()
    done = bbsmooth("verify", place.run)
    assert (done.status, "WRONG" in done.out) == (0, False), done.out
    write_json(place.run / "summary.json", summary(place) | {"usage": summary(place)["usage"] | {"answers": 1}})
    manifest = json.loads((place.run / "manifest.json").read_text())
    write_json(place.run / "manifest.json", manifest | {"hashes": run_hashes(place.run, manifest)})
    done = bbsmooth("verify", place.run)
    assert (done.status, "summary.json: usage.answers is 1, the ledger gives" in done.out) == (1, True), done.out


def test_a_limit_on_money_counts_what_replies_tell(place: World, vendor: Vendor) -> None:
    done = certify(place, vendor, "--max-price", MONEY, "--concurrency", 4)
    assert done.status == 3
    assert "prices of prices.toml are a copy of 2026-11-02 from https://example.org/prices" in done.err
    ledger, asked = place.ledger(), vendor.single.total()
    assert ledger["spent_total"] == asked
    assert ledger["price"] <= MONEY
    assert ledger["billed"] == ledger["price"] == pytest.approx(asked * EACH, abs=1e-12)
    assert asked > MONEY / WORST, "what replies tell is less than the worst case"
    assert ledger["usage"]["input_tokens"] == 120 * asked
    done = certify(place, vendor, "--resume")
    assert done.status == 0
    ledger, asked = place.ledger(), vendor.single.total()
    assert summary(place)["usage"] == {
        **{"images": asked, "requests": asked, "answers": asked},
        **{"input_tokens": 120 * asked, "output_tokens": 4 * asked},
        **{"billed": ledger["billed"], "worst_case": ledger["price"]},
    }
    assert bbsmooth("verify", place.run).status == 0
    report = " ".join(bbsmooth("report", place.run).out.split())
    assert f"; billed {asked * EACH:.2f}, at most {asked * EACH:.2f}; {120 * asked:,} tokens read" in report
    page = place.folder / "page.html"
    assert bbsmooth("report", place.run, "--out", page).status == 0
    assert "worst case" in page.read_text()
    manifest = json.loads((place.run / "manifest.json").read_text())
    stated = json.loads(manifest["settings"]["prices"])
    assert (stated["source"], stated["date"], stated["max_output_tokens"]) == (
        *("https://example.org/prices", "2026-11-02"),
        32,
    )


def test_a_batch_is_reserved_whole_and_counted_at_its_share(place: World, vendor: Vendor) -> None:
    reserved = 0.75 * WORST * VOTES
    done = certify(place, vendor, "--batch", "--batch-poll", 0.001, "--max-price", reserved + WORST * 3 * CANARIES)
    assert done.status == 0
    ledger, single = place.ledger(), vendor.single.total()
    assert (ledger["batched"], ledger["usage"]["batched"]["answers"], vendor.billed.total()) == (VOTES, VOTES, VOTES)
    assert ledger["billed"] == ledger["price"] == pytest.approx(EACH * (single + 0.75 * VOTES), abs=1e-12)
    assert bbsmooth("verify", place.run).status == 0


def test_a_bill_that_was_changed_is_found(place: World, vendor: Vendor) -> None:
    assert certify(place, vendor).status == 0
    path = place.run / "ledger.json"
    state = json.loads(path.read_text())
    del state["checksum"]
    path.write_text(json.dumps(state | {"billed": 0.01}))
    done = bbsmooth("verify", place.run)
    assert done.status == 1
    assert "billed is 0.01" in done.out + done.err


def test_a_dated_copy_is_named_and_says_its_day(place: World, vendor: Vendor) -> None:
    done = certify(place, vendor, "--price", 2, "--max-price", 1, prices="openai/gpt-4o-mini")
    assert done.status == 0
    assert "prices of openai/gpt-4o-mini are a copy of 2026-10-14 from https://developers.openai.com/" in done.err
    assert place.ledger()["billed"] == pytest.approx(vendor.single.total() * (120 * 0.15 + 4 * 0.6) / 1e6, rel=1e-12)
    listed = bbsmooth("oracle", "prices").out
    assert "openai/gpt-4o-mini\n    0.15 and 0.6 USD for a million tokens read and written, 50% less by batch" in listed
    tables = json.loads(bbsmooth("oracle", "prices", "--json").out)["prices"]
    assert all(table["date"] and table["source"] for table in tables)


@pytest.mark.parametrize(
    ("arguments", "prices", "said"),
    [
        (("--max-price", 1), "openai/gpt-4o-mini", "--max-price needs the most that a query can cost"),
        ((), "openai/gpt-4o-minu", "did you mean openai/gpt-4o-mini"),
        (("--price", 1), '{"per_1000_images": 1}', "give --price or --prices"),
        (
            ("--batch",),
            '{"per_1000_images": [{"up_to": 9, "price": 0}, {"price": 1}]}',
            "--prices in tiers do not go with --batch",
        ),
    ],
)
def test_what_cannot_be_held_is_said_before_anything_is_asked(
    place: World, vendor: Vendor, arguments: tuple[object, ...], prices: str, said: str
) -> None:
    done = certify(place, vendor, *arguments, prices=prices)
    assert (done.status, said in done.line) == (2, True), done.err
    assert not vendor.single
    assert not vendor.jobs


def test_a_plan_tells_tokens_of_a_query_and_both_prices(place: World, vendor: Vendor) -> None:
    sizes = ("--radius", 0.25, "--n0", 10, "--n", 200, "--pilot", 2, "--pilot-draws", 6, "--canaries", CANARIES)
    given = (*words(place, vendor), *sizes, "--prices", place.folder / "prices.toml")
    done = bbsmooth("plan", *given)
    assert "the pilot asks 12 queries, which cost at most 6.24" in done.err
    assert "a query took 120.0 tokens read (at most 120) and 4.0 written (at most 4)" in done.out
    assert "the pilot was billed 1.92, at most 1.92" in done.out
    again = bbsmooth("plan", *given, "--json")
    assert again.status == 0, again.out + again.err
    found = json.loads(again.out)
    row = found["expected"][0]
    queries = 3 * 210 + 3 * CANARIES
    assert row["price"]["expected"] == pytest.approx(queries * EACH)
    assert row["price_at_most"]["expected"] == pytest.approx(queries * WORST)
    assert row["usage"]["input_tokens"]["expected"] == 120 * queries
    assert row["usage"]["requests"]["expected"] == queries
    assert found["usage"]["images"] == 12
    assert row["by_batch"]["price"]["expected"] == pytest.approx(EACH * (0.75 * 3 * 210 + 3 * CANARIES))


def test_a_check_tells_tokens_of_a_query(place: World, vendor: Vendor) -> None:
    given = ("oracle", "check", vendor.oracle("openai") + "&image_shape=1x4x4", "--budget", 12)
    done = bbsmooth(*given, "--prices", place.folder / "prices.toml")
    assert done.status == 0, done.err
    assert "at most 12 queries, which cost at most 6.24" in done.err
    assert "tokens a query          120.0 (at most 120) read, 4.0 (at most 4) written" in done.out


def test_from_python_it_is_the_same(place: World, vendor: Vendor) -> None:
    table = {"per_million_input_tokens": 1000, "per_million_output_tokens": 10_000, "max_input_tokens": 200}
    found = bb.certify(
        bb.oracle(vendor.oracle("openai"), prices=table),
        IMAGES[:, None],
        noise=bb.Gaussian(sigma=0.5),
        plan=bb.Cohen(num_selection=5, num_estimation=20, alpha=0.05),
        budget=bb.Budget(money=MONEY),
        seed=0,
        run=place.run,
        canaries=CANARIES,
    )
    assert not found.complete
    assert found.ledger.billed == found.ledger.price == pytest.approx(vendor.single.total() * EACH, abs=1e-12)
    assert MONEY / WORST * EACH < found.ledger.price <= MONEY
    assert found.ledger.usage["output_tokens"] == 4 * vendor.single.total()
    assert "; billed " in str(found.ledger)
