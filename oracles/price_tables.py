"""Tables of prices by what a user names: a preset, a file, or the entries themselves."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from oracles.errors import SpecError
from oracles.price_presets import presets
from oracles.prices import Prices, read_prices

_DOCS = "docs/prices.md"


def open_prices(named: str | Path | Mapping[str, Any]) -> Prices:
    """The price table that a user names.

    Args:
        named: the name of a preset; the path of a file (.toml); or the entries, as an object or as JSON.

    Raises:
        SpecError: there is none, or an entry makes no sense.
    """
    if isinstance(named, Mapping):
        return read_prices(named)
    text = str(named)
    if text.startswith("{"):
        return read_prices(_object(text))
    known = presets()
    if text in known:
        return read_prices(known[text])
    path = Path(text).expanduser()
    if path.suffix == ".toml" or path.is_file():
        return _read_file(path)
    close = get_close_matches(text, known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise SpecError(
        f"there are no prices {text!r}; {hint}name a file (.toml) or one of {', '.join(known)}; see {_DOCS}"
    )


def in_one_line(prices: Prices) -> str:
    """The table as text that `open_prices` reads, the same for equal tables."""
    return json.dumps(prices.as_json(), sort_keys=True)


def bounded(prices: Prices, max_output_tokens: int | None) -> Prices:
    """The table with the tokens that requests ask for at most, where it does not say how many a query writes."""
    if max_output_tokens is None or prices.max_output_tokens is not None:
        return prices
    return replace(prices, max_output_tokens=max_output_tokens)


def provenance(prices: Prices) -> str:
    """Where a table comes from, in a line, empty where it does not say."""
    if not (prices.date or prices.source):
        return ""
    when = f" of {prices.date}" if prices.date else ""
    where = f" from {prices.source}" if prices.source else ""
    return f"prices{f' of {prices.name}' if prices.name else ''} are a copy{when}{where}; check them before you pay"


def _object(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text, parse_float=Decimal)
    except ValueError as error:
        raise SpecError(f"prices: {text!r} is not JSON ({error})") from None
    if not isinstance(found, dict):
        raise SpecError(f"prices: {text!r} should be an object")
    return found


def _read_file(path: Path) -> Prices:
    try:
        with path.open("rb") as file:
            tree = tomllib.load(file, parse_float=Decimal)
    except OSError as error:
        raise SpecError(f"cannot read the prices in {path}: {error.strerror}") from None
    except ValueError as error:
        raise SpecError(f"{path} is not TOML: {error}") from None
    try:
        return read_prices({"name": path.name} | tree)
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from None
