"""Tables of prices: read exactly, in tiers, and never chosen silently."""

from __future__ import annotations

import datetime
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles import SpecError
from oracles.price_presets import presets
from oracles.price_tables import bounded, in_one_line, open_prices, provenance
from oracles.prices import Prices, Rate, read_prices
from oracles.usage import Told

TIERED = [{"up_to": 1000, "price": 0}, {"up_to": 5000, "price": 1.5}, {"price": 0.6}]


def test_each_unit_costs_what_its_tier_says() -> None:
    images = read_prices({"per_1000_images": TIERED}).images
    assert images is not None
    one_by_one = [Fraction(0)] * 1000 + [Fraction(15, 10_000)] * 4000 + [Fraction(6, 10_000)] * 1000
    for count in (0, 1, 999, 1000, 1001, 4999, 5000, 5001, 6000):
        assert images.cost(count) == sum(one_by_one[:count])
    assert images.dearest == Fraction(15, 10_000)


@given(
    used=st.integers(0, 50),
    parts=st.lists(st.integers(0, 40), max_size=6),
    ends=st.lists(st.integers(1, 90), min_size=1, max_size=3, unique=True),
    prices=st.lists(st.integers(0, 9), min_size=4, max_size=4),
)
def test_parts_cost_what_the_whole_does(used: int, parts: list[int], ends: list[int], prices: list[int]) -> None:
    tiers = [*zip(sorted(ends), map(Fraction, prices), strict=False), (None, Fraction(prices[-1]))]
    cost, before = Fraction(0), used
    for part in parts:
        cost += Rate(tuple(tiers), before).cost(part)
        before += part
    assert cost == Rate(tuple(tiers), used).cost(sum(parts))


def test_a_million_tenths_of_a_cent_are_exact() -> None:
    prices = read_prices({"per_million_input_tokens": 0.1, "per_million_output_tokens": 0.7})
    told = sum((Told(1, 1, 3) for _ in range(1000)), Told())
    assert prices.tokens(told) == Fraction(1000 * (1 * 1 + 3 * 7), 10_000_000)


PLAIN = {"per_million_input_tokens": 4, "per_million_output_tokens": 16}


def millionths(prices: Prices, told: Told) -> Fraction:
    return prices.tokens(told) * 1_000_000


def test_cached_tokens_cost_their_own_price_where_there_is_one() -> None:
    told = Told(1, 1000, 10, 600, 100)
    assert millionths(read_prices(PLAIN), told) == 1000 * 4 + 160
    assert millionths(read_prices(PLAIN | {"per_million_cached_tokens": 1}), told) == 400 * 4 + 600 * 1 + 160
    written = PLAIN | {"per_million_cached_tokens": 1, "per_million_cache_write_tokens": 5}
    assert millionths(read_prices(written), told) == 300 * 4 + 600 * 1 + 100 * 5 + 160


def test_the_dearest_way_to_read_a_token_is_the_worst_case() -> None:
    stated = PLAIN | {"max_input_tokens": 100, "max_output_tokens": 10}
    assert read_prices(stated | {"per_million_cached_tokens": 1}).worst == read_prices(stated).worst
    assert read_prices(stated | {"per_million_cache_write_tokens": 5}).worst == Fraction(100 * 5 + 160, 10**6)


@given(
    cached=st.integers(0, 40),
    written=st.integers(0, 40),
    others=st.integers(0, 40),
    prices=st.lists(st.integers(0, 9), min_size=3, max_size=3),
)
def test_no_batch_costs_less_than_its_discount_once_or_more_than_its_worst_case(
    cached: int, written: int, others: int, prices: list[int]
) -> None:
    read, from_cache, to_cache = prices
    table = read_prices(
        {"per_million_input_tokens": read, "per_million_output_tokens": 0}
        | {"per_million_cached_tokens": from_cache, "per_million_cache_write_tokens": to_cache}
    )
    told, half = Told(1, cached + written + others, 0, cached, written), Fraction(1, 2)
    paid = table.discounted(half).tokens(told)
    assert paid <= half * table.at_most(told.input_tokens, 0)
    assert paid * 1_000_000 == half * (read * others + to_cache * written) + cached * min(
        Fraction(from_cache), half * read
    )


@pytest.mark.parametrize(
    "tree",
    [
        {"per_million_input_tokens": 0.15, "per_million_output_tokens": 0.6, "max_input_tokens": 300},
        {"per_1000_images": TIERED, "used": {"images": 700}, "per_1000_requests": 0.01},
        {"per_1000_images": 1, "name": "a", "currency": "EUR", "date": "2026-01-01", "source": "https://x"},
        {"per_million_output_tokens": 1, "batch_discount": 0.25},
        {"per_million_input_tokens": 1, "per_million_cached_tokens": 0.1, "per_million_cache_write_tokens": 1.25},
    ],
)
def test_a_table_is_read_as_it_was_written(tree: dict[str, Any], tmp_path: Path) -> None:
    prices = open_prices(tree)
    assert open_prices(in_one_line(prices)) == prices
    assert json.loads(in_one_line(prices)) == tree
    assert read_prices(prices.as_json()) == prices


def test_a_file_is_toml(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        "date = 2026-11-02\nper_million_input_tokens = 0.15\n"
        "per_1000_images = [{up_to = 10, price = 0}, {price = 1.5}]\n"
    )
    prices = open_prices(str(path))
    assert (prices.name, prices.date) == ("own.toml", "2026-11-02")
    assert prices.sent(12, 0) == Fraction(2 * 15, 10_000)


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({}, "at least one of per_million_input_tokens"),
        ({"per_image": 1}, "there is no entry 'per_image'; there are per_million_input_tokens"),
        ({"per_1000_images": -1}, "per_1000_images should be a number of at least 0"),
        ({"per_1000_images": "1"}, "per_1000_images should be a number of at least 0"),
        ({"per_1000_images": True}, "per_1000_images should be a number of at least 0"),
        ({"per_1000_images": float("nan")}, "per_1000_images should be a number of at least 0"),
        ({"per_1000_images": 0.1234567890123456}, "with up to 15 digits"),
        ({"per_1000_images": []}, "per_1000_images has no tiers"),
        ({"per_1000_images": [{"price": 1}, {"price": 2}]}, "needs up_to, except the last"),
        ({"per_1000_images": [{"up_to": 5, "price": 1}]}, "needs up_to, except the last"),
        ({"per_1000_images": [{"up_to": 5}]}, "or tiers like"),
        ({"per_1000_images": [{"up_to": 5, "price": 1}, {"up_to": 5, "price": 1}, {"price": 1}]}, "should rise"),
        ({"per_1000_images": 1, "used": {"pictures": 1}}, "used should be a table of"),
        ({"per_1000_images": 1, "used": {"requests": 1}}, "used.requests needs per_1000_requests"),
        ({"per_1000_images": 1, "used": {"images": -1}}, "used.images should be a whole number"),
        ({"per_1000_images": 1, "max_input_tokens": 1.5}, "max_input_tokens should be a whole number"),
        ({"per_1000_images": 1, "batch_discount": 1}, "a share below 1"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line(tree: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said) as error:
        read_prices(tree)
    assert "\n" not in str(error.value)


def test_the_worst_case_of_a_query_is_known_only_from_a_statement() -> None:
    tree = {"per_million_input_tokens": [{"up_to": 10, "price": 1}, {"price": 2}], "per_million_output_tokens": 4}
    assert read_prices(tree).worst is None
    assert read_prices(tree | {"max_input_tokens": 100}).worst is None
    stated = read_prices(tree | {"max_input_tokens": 100, "max_output_tokens": 10})
    assert stated.worst == Fraction(100 * 2 + 10 * 4, 10**6)
    assert bounded(read_prices(tree | {"max_input_tokens": 100}), 10) == stated
    assert bounded(stated, 99) == stated


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("openai/gpt-4.1-mino", "did you mean openai/gpt-4.1-mini"),
        ("nowhere.toml", "cannot read the prices in nowhere.toml"),
        ("{", "is not JSON"),
    ],
)
def test_prices_that_are_not_there_are_told(named: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        open_prices(named)


@pytest.mark.parametrize(("text", "said"), [("a = ", "is not TOML"), ("per_image = 1", "there is no entry")])
def test_files_that_are_none_are_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(SpecError, match=f"p.toml.*{said}"):
        open_prices(tmp_path / "p.toml")


@pytest.mark.parametrize("name", presets())
def test_every_copy_of_a_table_says_its_day_and_its_source(name: str) -> None:
    prices = open_prices(name)
    assert datetime.date.fromisoformat(prices.date) <= datetime.date(2026, 11, 30)
    assert prices.source.startswith("https://")
    line = provenance(prices)
    assert all(part in line for part in (name, prices.date, prices.source, "check them before you pay"))
    assert prices.input_tokens is not None
    assert prices.output_tokens is not None
    assert prices.cached_tokens is not None
    assert prices.cached_tokens.dearest <= prices.input_tokens.dearest


def test_a_table_without_a_day_and_a_source_says_nothing_of_them() -> None:
    assert provenance(open_prices({"per_1000_images": 1})) == ""
