"""Usage that replies tell: tokens, counted exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

_MOST = 10**12
"""Tokens of an answer: whoever tells of more tells nothing."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer.

    Attributes:
        input_tokens: that the model read.
        output_tokens: that it wrote, thoughts included.
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
class Told:
    """Usage of many replies, added up; equal counts add up to the same in any order.

    Attributes:
        answers: images of replies that told their tokens.
        input_tokens: of them.
        output_tokens: of them.
    """

    answers: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    @classmethod
    def of(cls, usage: Usage, images: int = 1) -> Told:
        """That of one reply."""
        return cls(images, usage.input_tokens, usage.output_tokens)

    def __add__(self, other: Told) -> Told:
        """Both together."""
        return Told(
            self.answers + other.answers,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
        )

    def as_json(self) -> dict[str, int]:
        """The counts by name."""
        return {"answers": self.answers, "input_tokens": self.input_tokens, "output_tokens": self.output_tokens}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Told:
        """Read what `as_json` said; what is left out is 0.

        Raises:
            ValueError, AttributeError: something else.
        """
        counts = [found.get(name, 0) for name in ("answers", "input_tokens", "output_tokens")]
        if any(type(value) is not int or value < 0 for value in counts):
            raise ValueError(f"{found!r} is no usage")
        return cls(*counts)


NOTHING = Told()


@dataclass(frozen=True, slots=True, kw_only=True)
class Metered:
    """Usage of all replies of a run.

    Attributes:
        alone: of replies to single requests.
        batched: of answers that a batch interface gave.
        without_answer: of those of both that were paid for and gave no answer: cut short, or not to be read.
        most_input: tokens that one of them read at most, for each of its images.
        most_output: tokens that one of them wrote at most, likewise.
    """

    alone: Told = NOTHING
    batched: Told = NOTHING
    without_answer: Told = NOTHING
    most_input: int = 0
    most_output: int = 0

    @classmethod
    def of(cls, usage: Usage, images: int = 1, *, by_batch: bool = False, answered: bool = True) -> Metered:
        """That of one reply."""
        told = Told.of(usage, images)
        return cls(
            alone=NOTHING if by_batch else told,
            batched=told if by_batch else NOTHING,
            without_answer=NOTHING if answered else told,
            most_input=-(-usage.input_tokens // images),
            most_output=-(-usage.output_tokens // images),
        )

    @property
    def total(self) -> Told:
        """Of all replies."""
        return self.alone + self.batched

    def __add__(self, other: Metered) -> Metered:
        """Both together."""
        return Metered(
            alone=self.alone + other.alone,
            batched=self.batched + other.batched,
            without_answer=self.without_answer + other.without_answer,
            most_input=max(self.most_input, other.most_input),
            most_output=max(self.most_output, other.most_output),
        )

    def by_batch(self) -> Metered:
        """The same counts, as of answers by batch."""
        return replace(self, alone=NOTHING, batched=self.total)

    def as_json(self) -> dict[str, Any]:
        """Entries for a ledger: of all replies, and of which kinds they were; without replies none."""
        if not self.total.answers:
            return {}
        found: dict[str, Any] = self.total.as_json()
        found |= {"most_input_tokens": self.most_input, "most_output_tokens": self.most_output}
        for name, part in (("batched", self.batched), ("without_answer", self.without_answer)):
            found |= {name: part.as_json()} if part.answers else {}
        return {"usage": found}

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Metered:
        """Read what `as_json` said.

        Raises:
            ValueError, TypeError, AttributeError: something else, or parts that are more than the whole.
        """
        found = state.get("usage", {})
        total, batched, lost = (
            Told.from_json(part) for part in (found, found.get("batched", {}), found.get("without_answer", {}))
        )
        most = [found.get(name, 0) for name in ("most_input_tokens", "most_output_tokens")]
        if any(type(value) is not int or value < 0 for value in most):
            raise ValueError(f"{found!r} is no usage")
        alone = [whole - part for whole, part in zip(_counts(total), _counts(batched), strict=True)]
        if min(alone) < 0 or any(part > whole for whole, part in zip(_counts(total), _counts(lost), strict=True)):
            raise ValueError(f"parts of the usage {found!r} are more than the whole")
        return cls(alone=Told(*alone), batched=batched, without_answer=lost, most_input=most[0], most_output=most[1])


NO_USAGE = Metered()


def _counts(told: Told) -> tuple[int, int, int]:
    return told.answers, told.input_tokens, told.output_tokens
