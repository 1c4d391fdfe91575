"""What a run used and what it is billed for, as its summary says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_OF_REPLIES = (
    *("answers", "input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens"),
    *("batched", "without_answer"),
)


def usage_summary(ledger: Mapping[str, Any]) -> dict[str, Any]:
    """The entry `usage` of a summary, from a ledger; none where replies told nothing and only queries have a price.

    Images and requests that were sent; the tokens that replies told of; what was billed at the prices of these, and
    the worst case: what is billed together with the most that all other queries can cost.
    """
    told, billed = ledger.get("usage"), ledger.get("billed")
    if told is None and billed is None:
        return {}
    tokens = {name: told[name] for name in _OF_REPLIES if name in told} if told is not None else {}
    money = {} if billed is None else {"billed": billed, "worst_case": ledger["price"]}
    return {"usage": {"images": ledger["spent_total"], "requests": ledger["attempts"], **tokens, **money}}
