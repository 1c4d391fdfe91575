"""Tokens that replies tell of: counted, priced, kept in the ledger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from oracles import AnswerError, Budget, ImageRefused, Ledger, Purpose, SpecError, StorageError
from oracles.registry import open_oracle
from oracles.remote.limits import ClientLimits
from oracles.remote.messages import Reply, Request
from oracles.remote.remote import RemoteOracle
from oracles.remote.wire_protocol import TellingUsage
from oracles.traffic import Traffic
from oracles.usage import Cache, Metered, Told, Usage
from tests.oracles.remote.batches.vendor import Vendor


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


AMONG = Cache(("details", "cached"), ("details", "written"))
BESIDE = Cache(("cached",), ("written",), apart=True)


@pytest.mark.parametrize(
    ("cache", "tree", "usage"),
    [
        (AMONG, {"in": 9, "details": {"cached": 4, "written": 2}}, Usage(9, 0, 4, 2)),
        (AMONG, {"in": 9, "details": {"cached": 9}}, Usage(9, 0, 9)),
        (AMONG, {"in": 9}, Usage(9, 0)),
        (AMONG, {"in": 9, "details": None}, Usage(9, 0)),
        (AMONG, {"in": 9, "details": {"cached": None, "written": None}}, Usage(9, 0)),
        (AMONG, {"in": 9, "details": {"cached": 10}}, Usage(9, 0)),
        (AMONG, {"in": 9, "details": {"cached": 5, "written": 5}}, Usage(9, 0)),
        (AMONG, {"in": 9, "details": {"cached": "4"}}, Usage(9, 0)),
        (AMONG, {"in": 9, "details": {"cached": -4}}, Usage(9, 0)),
        (AMONG, {"in": 9, "details": [4]}, Usage(9, 0)),
        (BESIDE, {"in": 9, "cached": 40, "written": 2}, Usage(51, 0, 40, 2)),
        (BESIDE, {"in": 9, "cached": None, "written": None}, Usage(9, 0)),
        (BESIDE, {"in": 9, "cached": "40"}, None),
        (BESIDE, {"in": 9, "written": True}, None),
    ],
)
def test_tokens_of_a_cache_are_never_more_than_all(cache: Cache, tree: dict[str, Any], usage: Usage | None) -> None:
    """Nonsense about the discount leaves the full price; nonsense about the number leaves the worst case."""
    assert Usage.told(tree, "in", cache=cache) == usage


@pytest.mark.parametrize(
    ("name", "tree", "usage"),
    [
        (
            "openai+https://127.0.0.1/v1?model=m&labels=a,b",
            {
                "usage": {
                    "prompt_tokens": 2006,
                    "completion_tokens": 300,
                    "total_tokens": 2306,
                    "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
                    "completion_tokens_details": {"reasoning_tokens": 0},
                }
            },
            Usage(2006, 300, 1920),
        ),
        (
            "anthropic+https://127.0.0.1?model=m&labels=a,b",
            {
                "usage": {
                    "input_tokens": 50,
                    "cache_read_input_tokens": 100_000,
                    "cache_creation_input_tokens": 248,
                    "cache_creation": {"ephemeral_5m_input_tokens": 248, "ephemeral_1h_input_tokens": 0},
                    "output_tokens": 503,
                }
            },
            Usage(100_298, 503, 100_000, 248),
        ),
        (
            "gemini+https://127.0.0.1?model=m&labels=a,b",
            {
                "usageMetadata": {
                    "promptTokenCount": 18_625,
                    "cachedContentTokenCount": 18_010,
                    "candidatesTokenCount": 188,
                    "thoughtsTokenCount": 12,
                    "totalTokenCount": 18_825,
                }
            },
            Usage(18_625, 200, 18_010),
        ),
        (
            "bedrock:eu-west-1?model=m&labels=a,b",
            {
                "usage": {
                    "inputTokens": 20,
                    "outputTokens": 5,
                    "totalTokens": 125,
                    "cacheReadInputTokens": 70,
                    "cacheWriteInputTokens": 30,
                }
            },
            Usage(120, 5, 70, 30),
        ),
    ],
    ids=lambda value: value.partition("+")[0].partition(":")[0] if isinstance(value, str) else "",
)
def test_vendors_tell_of_their_caches_in_their_own_ways(
    name: str, tree: dict[str, Any], usage: Usage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenAI and Gemini count what was cached among what was read, Anthropic and Bedrock beside it."""
    for key in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "secret")
    oracle = open_oracle(name)
    assert isinstance(oracle, RemoteOracle)
    protocol = oracle.protocol
    assert isinstance(protocol, TellingUsage)
    assert protocol.usage(Reply(200, body=json.dumps(tree).encode())) == usage


def test_a_ledger_keeps_what_came_from_a_cache(tmp_path: Path) -> None:
    told = Metered.of(Usage(100, 5, 60, 30)) + Metered.of(Usage(100, 5), by_batch=True)
    assert Metered.from_json(told.as_json()) == told
    assert told.as_json()["usage"]["cached_tokens"] == 60
    assert "cached_tokens" not in Metered.of(Usage(100, 5)).as_json()["usage"]
    with pytest.raises(ValueError, match="more than the whole"):
        Told.from_json({"answers": 1, "input_tokens": 100, "cached_tokens": 101})


def test_tokens_have_prices() -> None:
    prices = ClientLimits(price_per_million_input=2.5, price_per_million_output=10).token_prices
    assert prices is not None
    assert prices.tokens(Told(1, 1_000_000, 100_000)) == 3.5
    assert ClientLimits().token_prices is None
    with pytest.raises(SpecError, match="price_per_million_input and price_per_million_output together"):
        ClientLimits(price_per_million_input=2.5)
    with pytest.raises(SpecError, match="price_per_million_output should be a number of at least 0"):
        ClientLimits(price_per_million_input=2.5, price_per_million_output=-1)
    with pytest.raises(SpecError, match="or prices, not both"):
        ClientLimits(price_per_million_input=2.5, price_per_million_output=1, prices="p.toml")


def test_a_ledger_keeps_them_and_goes_on(tmp_path: Path) -> None:
    for expected in (1, 2):
        ledger = Ledger(Budget(), tmp_path / "ledger.json")
        ledger.traffic.told(Metered.of(Usage(120, 4)))
        ledger.charge(1, purpose=Purpose.ESTIMATE)
        ledger.save()
        found = json.loads((tmp_path / "ledger.json").read_text())["usage"]
        assert found == Told(expected, 120 * expected, 4 * expected).as_json() | {
            "most_input_tokens": 120,
            "most_output_tokens": 4,
        }


@pytest.mark.parametrize(
    "usage",
    [
        *({"answers": -1}, {"answers": 1.5}, {"most_input_tokens": -1}, 3, {"input_tokens": "x"}),
        {"answers": 1, "batched": {"answers": 2}},
        {"answers": 1, "without_answer": {"answers": 1, "input_tokens": 1}},
    ],
)
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
    one.told(Metered.of(Usage(3, 1)))
    two.told(Metered.of(Usage(4, 1), answered=False))
    one.add(two.taken())
    assert one.metered == Metered(alone=Told(2, 7, 2), without_answer=Told(1, 4, 1), most_input=4, most_output=1)
    assert "usage" not in two.as_json()


IMAGE = torch.full((1, 1, 4, 4), 200, dtype=torch.uint8)


@pytest.mark.parametrize("kind", ["openai", "anthropic", "gemini"])
def test_replies_of_a_server_are_counted_and_those_of_a_batch_are_told(kind: str) -> None:
    with Vendor().running() as vendor:
        oracle = open_oracle(vendor.oracle(kind))
        assert isinstance(oracle, RemoteOracle)
        reply = oracle.transport.send(oracle.composed(IMAGE))
        oracle.query(IMAGE)
        oracle.understood(reply.body)
    assert oracle.transport.traffic.metered == Metered.of(Usage(120, 4))
    assert oracle.used(reply.body, answered=True) == Metered.of(Usage(120, 4), by_batch=True)
    lost = oracle.used(reply.body, answered=False)
    assert (lost.batched, lost.without_answer) == (Told(1, 120, 4), Told(1, 120, 4))
    assert oracle.used(b"no JSON", answered=False) == Metered()
    assert oracle.max_output_tokens == 32


@pytest.mark.parametrize("kind", ["openai", "anthropic", "gemini"])
@pytest.mark.parametrize("fault", ["cut", "another form"])
def test_tokens_of_replies_that_hold_no_answer_are_counted_as_a_kind(kind: str, fault: str) -> None:
    with Vendor().running() as vendor:
        oracle = open_oracle(vendor.oracle(kind))
        assert isinstance(oracle, RemoteOracle)
        reply = oracle.transport.send(oracle.composed(IMAGE))
    tree = json.loads(reply.body)
    if fault == "another form":
        for name in ("choices", "content", "candidates"):
            tree |= {name: 3} if name in tree else {}
    else:
        spoil(tree)
    send = Replies([Reply(200, body=json.dumps(tree).encode()), reply])
    oracle.transport.send = send  # type: ignore[method-assign]
    with pytest.raises((AnswerError, ImageRefused)):
        oracle.query(IMAGE)
    oracle.query(IMAGE)
    assert oracle.transport.traffic.metered == Metered.of(Usage(120, 4), answered=False) + Metered.of(Usage(120, 4))


def spoil(tree: dict[str, Any]) -> None:
    """A reply of any vendor that was cut before it said anything."""
    if "choices" in tree:
        tree["choices"][0] |= {"finish_reason": "length", "message": {"role": "assistant", "content": None}}
    elif "content" in tree:
        tree |= {"stop_reason": "max_tokens", "content": []}
    else:
        tree["candidates"][0] |= {"finishReason": "MAX_TOKENS", "content": {"parts": []}}


class Replies:
    """Sends nothing, and gives replies in turn."""

    def __init__(self, replies: list[Reply]) -> None:
        self._replies = iter(replies)

    def __call__(self, request: Request) -> Reply:
        return next(self._replies)
