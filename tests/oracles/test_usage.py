"""Tokens that replies tell of: counted, priced, kept in the ledger."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from oracles import Budget, Ledger, Purpose, SpecError, StorageError
from oracles.registry import open_oracle
from oracles.remote.limits import ClientLimits
from oracles.remote.remote import RemoteOracle
from oracles.traffic import Traffic
from oracles.usage import TokenPrices, Usage
from tests.oracles.remote.batches.vendor import Vendor

PRICES = "&price_per_million_input=2.5&price_per_million_output=10"
EACH = (120 * 2.5 + 4 * 10) / 1e6
"""Price of an answer of the vendor."""


@pytest.mark.parametrize(
    ("tree", "usage"),
    [
        ({"in": 3, "out": 2}, Usage(3, 2)),
        ({"in": 3}, Usage(3, 0)),
        ({"out": 2}, None),
        ({"in": "3", "out": 2}, None),
        ({"in": -1, "out": 2}, None),
        ({"in": True, "out": 2}, None),
        ({"in": 10**400, "out": 2}, None),
        ({"in": 3, "out": None}, None),
        (None, None),
        ([], None),
    ],
)
def test_usage_is_what_a_reply_tells_in_numbers(tree: object, usage: Usage | None) -> None:
    assert Usage.told(tree, "in", "out") == usage


def test_thoughts_are_written_too() -> None:
    assert Usage.told({"in": 3, "out": 2, "thought": 40}, "in", "out", "thought") == Usage(3, 42)
    assert Usage.told({"in": 3, "thought": 40}, "in", "out", "thought") == Usage(3, 40)


def test_tokens_have_prices() -> None:
    assert TokenPrices(2.5, 10).cost(Usage(1_000_000, 100_000)) == pytest.approx(3.5)
    assert ClientLimits(price_per_million_input=2.5, price_per_million_output=10).token_prices == TokenPrices(2.5, 10)
    assert ClientLimits().token_prices is None
    with pytest.raises(SpecError, match="price_per_million_input and price_per_million_output together"):
        ClientLimits(price_per_million_input=2.5)
    with pytest.raises(SpecError, match="price_per_million_output should be a number of at least 0"):
        ClientLimits(price_per_million_input=2.5, price_per_million_output=-1)


def test_a_ledger_keeps_them_and_goes_on(tmp_path: Path) -> None:
    for expected in (1, 2):
        ledger = Ledger(Budget(), tmp_path / "ledger.json")
        ledger.traffic.used(Usage(120, 4), EACH)
        ledger.charge(1, purpose=Purpose.ESTIMATE)
        ledger.save()
        found = json.loads((tmp_path / "ledger.json").read_text())["usage"]
        assert (found["answers"], found["input_tokens"], found["output_tokens"]) == (
            expected,
            120 * expected,
            4 * expected,
        )
        assert found["billed"] == pytest.approx(expected * EACH)


@pytest.mark.parametrize("usage", [{"answers": -1}, {"answers": 1.5}, {"billed": -1}, 3, {"input_tokens": "x"}])
def test_a_ledger_with_another_usage_is_refused(tmp_path: Path, usage: object) -> None:
    path = tmp_path / "ledger.json"
    Ledger(Budget(), path).save()
    state = json.loads(path.read_text()) | {"usage": usage}
    del state["checksum"]
    path.write_text(json.dumps(state))
    with pytest.raises(StorageError, match="not a readable ledger"):
        Ledger(Budget(), path)


def test_counts_of_two_processes_add_up() -> None:
    one, two = Traffic(), Traffic()
    one.used(Usage(3, 1), None)
    two.used(Usage(4, 1), 0.5)
    one.add(two.taken())
    assert one.as_json()["usage"] == {"answers": 2, "input_tokens": 7, "output_tokens": 2, "billed": 0.5}
    assert "usage" not in two.as_json()


@pytest.mark.parametrize("kind", ["openai", "anthropic", "gemini"])
def test_answers_of_a_server_are_counted_and_those_of_a_batch_at_its_share(kind: str) -> None:
    with Vendor().running() as vendor:
        oracle = open_oracle(vendor.oracle(kind) + PRICES)
        assert isinstance(oracle, RemoteOracle)
        image = torch.full((1, 1, 4, 4), 200, dtype=torch.uint8)
        reply = oracle.transport.send(oracle.composed(image))
        oracle.query(image)
        oracle.understood(reply.body, share=0.5)
    found = oracle.transport.traffic.as_json()["usage"]
    assert found == {"answers": 2, "input_tokens": 240, "output_tokens": 8, "billed": pytest.approx(1.5 * EACH)}
