"""Usage that replies tell: tokens, counted exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass, fields, replace
from typing import Any

_MOST = 10**12
"""Tokens of an answer: whoever tells of more tells nothing."""

_OF_CACHES = ("cached_tokens", "cache_write_tokens")
"""Counts that a file leaves out where they are 0."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer.

    Attributes:
        input_tokens: that the model read, from wherever.
        output_tokens: that it wrote, thoughts included.
        cached_tokens: of `input_tokens`, those that came from a cache.
        cache_write_tokens: of `input_tokens`, those that were written to one.
    """

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0

    @classmethod
    def told(cls, tree: object, read: str, *written: str, cache: Cache | None = None) -> Usage | None:
        """What a reply's `tree` tells under these names, those of what was written added up; None where it does not.

        Args:
            tree: the part of the reply that tells of tokens.
            read: name of the tokens that were read.
            written: names of those that were written.
            cache: where it tells which came from a cache. What makes no sense there, and is part of `read`, is passed
                over: no token of it is cheaper then.
        """
        if not isinstance(tree, Mapping):
            return None
        found = [tree.get(read), *(tree.get(name, 0) for name in written)]
        if not all(map(_is_count, found)):
            return None
        usage = cls(found[0], sum(found[1:]))
        return usage if cache is None else cache.told(usage, tree)


@dataclass(frozen=True, slots=True)
class Cache:
    """Where a reply tells what a cache had to do with the tokens that were read.

    Args:
        cached: path of names to those that came from it.
        written: path to those that were written to it, empty where nobody tells.
        apart: whether both are counted beside the tokens that were read, and not among them.
    """

    cached: tuple[str, ...]
    written: tuple[str, ...] = ()
    apart: bool = False

    def told(self, usage: Usage, tree: Mapping[str, Any]) -> Usage | None:
        """The usage with what `tree` tells of the cache; None where nobody knows how many tokens there were in all."""
        cached, written = (_leading(tree, path) for path in (self.cached, self.written))
        if not (_is_count(cached) and _is_count(written)):
            return None if self.apart else usage
        read = usage.input_tokens + (cached + written if self.apart else 0)
        if cached + written > read:
            return usage
        return Usage(read, usage.output_tokens, cached, written)


def _leading(tree: Any, path: tuple[str, ...]) -> Any:
    """What a path leads to; 0 where a part of it is missing or null."""
    for name in path:
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    return tree if path and tree is not None else 0


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= _MOST


@dataclass(frozen=True, slots=True)
class Told:
    """Usage of many replies, added up; equal counts add up to the same in any order.

    Attributes:
        answers: images of replies that told their tokens.
        input_tokens: of them.
        output_tokens: of them.
        cached_tokens: of `input_tokens`, those that came from a cache.
        cache_write_tokens: of `input_tokens`, those that were written to one.
    """

    answers: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0

    @classmethod
    def of(cls, usage: Usage, images: int = 1) -> Told:
        """That of one reply."""
        return cls(images, usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.cache_write_tokens)

    def __add__(self, other: Told) -> Told:
        """Both together."""
        return Told(
            self.answers + other.answers,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
        )

    def as_json(self) -> dict[str, int]:
        """The counts by name, those of a cache where there are any."""
        found = asdict(self)
        return {name: count for name, count in found.items() if count or name not in _OF_CACHES}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Told:
        """Read what `as_json` said; what is left out is 0.

        Raises:
            ValueError, AttributeError: something else, or more of a cache than in all.
        """
        told = cls(*(found.get(each.name, 0) for each in fields(cls)))
        if any(type(value) is not int or value < 0 for value in astuple(told)):
            raise ValueError(f"{found!r} is no usage")
        if told.cached_tokens + told.cache_write_tokens > told.input_tokens:
            raise ValueError(f"parts of the usage {found!r} are more than the whole")
        return told


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
        total = self.total
        if not total.answers:
            return {}
        found: dict[str, Any] = total.as_json()
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
        alone = [whole - part for whole, part in zip(astuple(total), astuple(batched), strict=True)]
        if min(alone) < 0 or any(part > whole for whole, part in zip(astuple(total), astuple(lost), strict=True)):
            raise ValueError(f"parts of the usage {found!r} are more than the whole")
        return cls(alone=Told(*alone), batched=batched, without_answer=lost, most_input=most[0], most_output=most[1])


NO_USAGE = Metered()
