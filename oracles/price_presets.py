"""Dated copies of public price tables: what vendors said on a day, to be checked before it is relied on."""

from __future__ import annotations

from typing import Any

_DATE = "2026-10-14"
"""On which the entries below were last held against the vendors' pages, as the package genai-prices 0.2.3 records."""

_SOURCES = {
    "openai": "https://developers.openai.com/api/docs/pricing",
    "anthropic": "https://platform.claude.com/docs/en/about-claude/pricing",
    "gemini": "https://ai.google.dev/gemini-api/docs/pricing",
}

_DISCOUNT = 0.5
"""Share that the batch interfaces of all three save, on the same pages."""

_USD_PER_MILLION = {
    "openai/gpt-4.1": (2, 8, 0.5),
    "openai/gpt-4.1-mini": (0.4, 1.6, 0.1),
    "openai/gpt-4.1-nano": (0.1, 0.4, 0.025),
    "openai/gpt-4o": (2.5, 10, 1.25),
    "openai/gpt-4o-mini": (0.15, 0.6, 0.075),
    "openai/gpt-5-mini": (0.25, 2, 0.025),
    "openai/gpt-5-nano": (0.05, 0.4, 0.005),
    "anthropic/claude-haiku-4-5": (1, 5, 0.1),
    "anthropic/claude-opus-4-8": (5, 25, 0.5),
    "anthropic/claude-opus-5-5": (4, 20, 0.2),
    "anthropic/claude-sonnet-4-6": (3, 15, 0.3),
    "anthropic/claude-sonnet-5-5": (2, 10, 0.1),
    "gemini/gemini-2.5-flash": (0.3, 2.5, 0.03),
    "gemini/gemini-2.5-flash-lite": (0.1, 0.4, 0.01),
}
"""Tokens that are read, written, and read from a cache, at the standard rate.

What is written to a cache is in none of them: no request of ours asks for that.

Models whose price depends on the length of a prompt or ends on a known day are left out, and so are Mistral, Google
Cloud Vision, Amazon Rekognition and Azure, of whose whole tables no dated reading was found.
"""


def presets() -> dict[str, dict[str, Any]]:
    """The tables by name, as `oracles.prices.read_prices` reads them."""
    return {
        name: {
            "name": name,
            "currency": "USD",
            "date": _DATE,
            "source": _SOURCES[name.partition("/")[0]],
            "per_million_input_tokens": read,
            "per_million_output_tokens": written,
            "per_million_cached_tokens": cached,
            "batch_discount": _DISCOUNT,
        }
        for name, (read, written, cached) in _USD_PER_MILLION.items()
    }
