"""The record of `ledger.json`, and what a summary says of the bill."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from bbsmooth.runs.records.values import Amount, Count, Share


class BudgetEntry(TypedDict):
    """The limits in a ledger."""

    queries: Count | None
    attempts: Count | None
    money: Amount | None
    images_per_request: NotRequired[Count]


class ToldEntry(TypedDict):
    """Images of replies that told their tokens, and these."""

    answers: Count
    input_tokens: Count
    output_tokens: Count
    cached_tokens: NotRequired[Count]
    cache_write_tokens: NotRequired[Count]


class UsageEntry(ToldEntry):
    """Tokens of all replies that told them; those by batch, those of replies without an answer; the most of one."""

    most_input_tokens: NotRequired[Count]
    most_output_tokens: NotRequired[Count]
    batched: NotRequired[ToldEntry]
    without_answer: NotRequired[ToldEntry]


class UsageSummary(TypedDict):
    """Images and requests that were sent, tokens that replies told, and the bill: what is known, and the worst case."""

    images: Count
    requests: Count
    answers: NotRequired[Count]
    input_tokens: NotRequired[Count]
    output_tokens: NotRequired[Count]
    cached_tokens: NotRequired[Count]
    cache_write_tokens: NotRequired[Count]
    batched: NotRequired[ToldEntry]
    without_answer: NotRequired[ToldEntry]
    billed: NotRequired[Amount]
    worst_case: NotRequired[Amount]


class LedgerState(TypedDict):
    """`ledger.json`: what was spent."""

    budget: BudgetEntry
    spent: dict[str, Count]
    spent_total: Count
    left: Count | None
    attempts: Count
    price_per_1000: Amount | None
    price: Amount
    batched: NotRequired[Count]
    batch_price_per_1000: NotRequired[Amount | None]
    batch_discount: NotRequired[Share | None]
    billed: NotRequired[Amount]
    prices: NotRequired[dict[str, Any]]
    retries: NotRequired[Count]
    bytes: NotRequired[Count]
    bytes_sent: NotRequired[Count]
    bytes_received: NotRequired[Count]
    latency: NotRequired[dict[str, Amount]]
    latency_bins: NotRequired[dict[str, Count]]
    usage: NotRequired[UsageEntry]
    changes: NotRequired[Count]
    reserved: NotRequired[dict[str, Count]]
    checksum: NotRequired[str]
