"""Usage that replies tell: tokens, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MILLION = 1e6
_MOST = 10**12
"""Tokens of an answer: whoever tells of more tells nothing."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or more answers.

    Attributes:
        input_tokens: that the model read.
        output_tokens: that it wrote.
    """

    input_tokens: int
    output_tokens: int

    @classmethod
    def told(cls, tree: object, read: str, *written: str) -> Usage | None:
        """What a reply's `tree` tells under these names, those of what was written added up; None where it does not."""
        if not isinstance(tree, Mapping):
            return None
        found = [tree.get(read), *(tree.get(name, 0) for name in written)]
        if any(type(value) is not int or not 0 <= value <= _MOST for value in found):
            return None
        return cls(found[0], sum(found[1:]))


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """Prices of a million tokens.

    Attributes:
        input: of those that the model reads.
        output: of those that it writes.
    """

    input: float
    output: float

    def cost(self, usage: Usage) -> float:
        """The cost of a usage."""
        return (usage.input_tokens * self.input + usage.output_tokens * self.output) / _MILLION


@dataclass(slots=True)
class Metered:
    """Usage of many answers. Attributes: how many told it, their tokens, and what these cost where prices are known."""

    answers: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    billed: float | None = None

    def add(self, usage: Usage, cost: float | None) -> None:
        """Count one answer."""
        self.answers += 1
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        if cost is not None:
            self.billed = (self.billed or 0.0) + cost

    def merge(self, other: Metered) -> None:
        """Count what another one has counted."""
        self.answers += other.answers
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        if other.billed is not None:
            self.billed = (self.billed or 0.0) + other.billed

    def as_json(self) -> dict[str, Any]:
        """Entries for a ledger; without answers none."""
        if not self.answers:
            return {}
        counts = {"answers": self.answers, "input_tokens": self.input_tokens, "output_tokens": self.output_tokens}
        return {"usage": counts | ({} if self.billed is None else {"billed": self.billed})}

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Metered:
        """Read what `as_json` said.

        Raises:
            ValueError, TypeError, AttributeError: something else.
        """
        found = state.get("usage", {})
        counts = [found.get(name, 0) for name in ("answers", "input_tokens", "output_tokens")]
        billed = found.get("billed")
        if any(type(value) is not int or value < 0 for value in counts) or not (billed is None or billed >= 0):
            raise ValueError(f"{found!r} is no usage")
        answers, read, written = counts
        return cls(answers, read, written, billed)
