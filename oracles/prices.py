"""Prices: what a vendor bills for tokens, images and requests, in tiers; exact, without rounding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

from oracles.errors import SpecError
from oracles.usage import Told

_KINDS = {
    "per_million_input_tokens": 1_000_000,
    "per_million_output_tokens": 1_000_000,
    "per_million_cached_tokens": 1_000_000,
    "per_million_cache_write_tokens": 1_000_000,
    "per_1000_images": 1_000,
    "per_1000_requests": 1_000,
}
"""Entries that are prices, and of how many units."""

_TEXTS = ("name", "currency", "date", "source")
_COUNTS = ("max_input_tokens", "max_output_tokens")
_USED = {kind.split("_", 2)[2]: kind for kind in _KINDS}
"""Entries of `used`, by the kind of unit."""

_DIGITS = 15
"""Digits of an amount, so that JSON keeps it as it is."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Graduated price of one kind of unit: the first at one price, the next at another.

    Attributes:
        tiers: (number of the last unit in it, price of each), in order; the last has no end (None).
        used: units that were billed to the same account before, from which the tiers are counted.
    """

    tiers: tuple[tuple[int | None, Fraction], ...]
    used: int = 0

    def cost(self, units: int) -> Fraction:
        """Price of a number of units."""
        if len(self.tiers) == 1:
            return units * self.tiers[0][1]
        return self._from_first(self.used + units) - self._from_first(self.used)

    def _from_first(self, units: int) -> Fraction:
        cost, done = Fraction(0), 0
        for last, price in self.tiers:
            upto = units if last is None else min(units, last)
            cost += (upto - done) * price
            done = upto
        return cost

    @property
    def dearest(self) -> Fraction:
        """Price of a unit in the dearest tier."""
        return max(price for _, price in self.tiers)


FREE = Rate(((None, Fraction(0)),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Price table of one model, in one currency.

    Attributes:
        input_tokens: of tokens that it reads, None where they are not billed.
        output_tokens: of tokens that it writes, likewise.
        cached_tokens: of tokens that it reads from a cache, None where they cost what all others do.
        cache_write_tokens: of tokens that it reads and writes to a cache, likewise.
        images: of images, likewise.
        requests: of requests, likewise; each one counts, failed and repeated ones too.
        batch_discount: share that a batch interface saves, None where the table does not say.
        max_input_tokens: tokens that one query reads at most, None where nobody knows.
        max_output_tokens: tokens that one query writes at most, likewise.
        name: of the table, for people.
        currency: of all amounts.
        date: on which the table was read.
        source: where it was read.
    """

    input_tokens: Rate | None = None
    output_tokens: Rate | None = None
    cached_tokens: Rate | None = None
    cache_write_tokens: Rate | None = None
    images: Rate | None = None
    requests: Rate | None = None
    batch_discount: Fraction | None = None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    name: str = ""
    currency: str = ""
    date: str = ""
    source: str = ""

    @property
    def by_tokens(self) -> bool:
        """Whether tokens are billed, which only replies tell."""
        rates = (self.input_tokens, self.output_tokens, self.cached_tokens, self.cache_write_tokens)
        return any(rate is not None for rate in rates)

    @property
    def tiered(self) -> bool:
        """Whether the price of a unit depends on how many there were before."""
        return any(len(rate.tiers) > 1 for rate in self._rates())

    def tokens(self, told: Told) -> Fraction:
        """Price of tokens that replies told of; those of a cache cost what all others do, unless the table says."""
        cost, others = (self.output_tokens or FREE).cost(told.output_tokens), told.input_tokens
        for rate, count in (
            (self.cached_tokens, told.cached_tokens),
            (self.cache_write_tokens, told.cache_write_tokens),
        ):
            if rate is not None:
                cost, others = cost + rate.cost(count), others - count
        return cost + (self.input_tokens or FREE).cost(others)

    @property
    def dearest_read(self) -> Fraction:
        """The most that a token which is read can cost, from a cache or not."""
        rates = (self.input_tokens, self.cached_tokens, self.cache_write_tokens)
        return max((rate.dearest for rate in rates if rate is not None), default=Fraction(0))

    def at_most(self, input_tokens: int, output_tokens: int) -> Fraction:
        """Price of tokens in the dearest tiers."""
        return input_tokens * self.dearest_read + output_tokens * (self.output_tokens or FREE).dearest

    @property
    def worst(self) -> Fraction | None:
        """Most that the tokens of one query can cost; None where nobody says how many they can be."""
        counts, written = [], (self.output_tokens or FREE).dearest
        for dearest, most in ((self.dearest_read, self.max_input_tokens), (written, self.max_output_tokens)):
            if dearest and most is None:
                return None
            counts.append(most or 0)
        return self.at_most(*counts)

    def sent(self, images: int, requests: int) -> Fraction:
        """Price of images and requests, tokens left out."""
        return (self.images or FREE).cost(images) + (self.requests or FREE).cost(requests)

    def discounted(self, share: float | Fraction) -> Prices:
        """The table at a share of its prices, as a batch interface has it.

        Not all vendors take that off what comes from a cache as well. So tokens from there cost what the table says,
        yet no more than others by batch do.
        """
        factor = share if isinstance(share, Fraction) else Fraction(Decimal(str(share)))

        def cheaper(rate: Rate | None) -> Rate | None:
            return None if rate is None else replace(rate, tiers=tuple((last, p * factor) for last, p in rate.tiers))

        cached, read = self.cached_tokens, cheaper(self.input_tokens)
        if cached is not None and read is not None:
            cached = replace(cached, tiers=tuple((last, min(p, read.dearest)) for last, p in cached.tiers))

        return replace(
            self,
            input_tokens=read,
            output_tokens=cheaper(self.output_tokens),
            cached_tokens=cached,
            cache_write_tokens=cheaper(self.cache_write_tokens),
            images=cheaper(self.images),
            requests=cheaper(self.requests),
        )

    def _rates(self) -> list[Rate]:
        found = (getattr(self, unit) for unit in _USED)
        return [rate for rate in found if rate is not None]

    def as_json(self) -> dict[str, Any]:
        """The table as `read_prices` reads it."""
        tree: dict[str, Any] = {name: value for name in _TEXTS if (value := getattr(self, name))}
        used = dict[str, int]()
        for kind, units in _KINDS.items():
            unit = kind.split("_", 2)[2]
            rate: Rate | None = getattr(self, unit)
            if rate is None:
                continue
            amounts = [(last, _plain(price * units)) for last, price in rate.tiers]
            one = len(amounts) == 1
            tree[kind] = amounts[0][1] if one else [_tier(last, amount) for last, amount in amounts]
            used |= {unit: rate.used} if rate.used else {}
        if self.batch_discount is not None:
            tree["batch_discount"] = _plain(self.batch_discount)
        tree |= {name: value for name in _COUNTS if (value := getattr(self, name)) is not None}
        return tree | ({"used": used} if used else {})


def read_prices(tree: Mapping[str, Any]) -> Prices:
    """The price table in a file's or an object's entries.

    Args:
        tree: `per_million_input_tokens`, `per_million_output_tokens`, `per_million_cached_tokens`,
            `per_million_cache_write_tokens`, `per_1000_images`, `per_1000_requests`: a number, or tiers as
            [{up_to = N, price = X}, ..., {price = Y}]; `used`: units billed before, by kind;
            `batch_discount`, `max_input_tokens`, `max_output_tokens`, `name`, `currency`, `date`, `source`.

    Raises:
        SpecError: an entry that there is not, or a value that makes no sense; nothing that has a price.
    """
    known = [*_KINDS, "used", "batch_discount", *_COUNTS, *_TEXTS]
    if strange := sorted(set(tree) - set(known)):
        raise SpecError(f"prices: there is no entry {strange[0]!r}; there are {', '.join(known)}")
    used = tree.get("used", {})
    if not isinstance(used, Mapping) or not set(used) <= set(_USED):
        raise SpecError(f"prices: used should be a table of {', '.join(_USED)}, got {used!r}")
    found: dict[str, Any] = {name: str(tree[name]) for name in _TEXTS if name in tree}  # dates of TOML, too
    for unit, kind in _USED.items():
        if kind in tree:
            found[unit] = Rate(_tiers(kind, tree[kind], _KINDS[kind]), _count(f"used.{unit}", used.get(unit, 0)))
        elif unit in used:
            raise SpecError(f"prices: used.{unit} needs {kind}")
    if not any(unit in found for unit in _USED):
        raise SpecError(f"prices: give at least one of {', '.join(_KINDS)}")
    for name in _COUNTS:
        if name in tree:
            found[name] = _count(name, tree[name])
    if "batch_discount" in tree:
        found["batch_discount"] = share = _amount("batch_discount", tree["batch_discount"])
        if share >= 1:
            raise SpecError(f"prices: batch_discount should be a share below 1, got {tree['batch_discount']}")
    return Prices(**found)


def _tiers(kind: str, value: object, units: int) -> tuple[tuple[int | None, Fraction], ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return ((None, _amount(kind, value) / units),)
    tiers, before = list[tuple[int | None, Fraction]](), 0
    for number, tier in enumerate(value, 1):
        ends = isinstance(tier, Mapping) and "up_to" in tier
        if not isinstance(tier, Mapping) or not set(tier) <= {"up_to", "price"} or "price" not in tier:
            raise SpecError(f"prices: {kind} should be a number or tiers like {{up_to = 1000, price = 1.5}}")
        if ends == (number == len(value)):
            raise SpecError(f"prices: every tier of {kind} needs up_to, except the last, which has none")
        last = _count(f"{kind}: up_to", tier["up_to"]) if ends else None
        if last is not None and last <= before:
            raise SpecError(f"prices: the tiers of {kind} should rise, got up_to {last} after {before}")
        tiers.append((last, _amount(kind, tier["price"]) / units))
        before = last or before
    if not tiers:
        raise SpecError(f"prices: {kind} has no tiers")
    return tuple(tiers)


def _amount(name: str, value: object) -> Fraction:
    """An amount as it was written."""
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            raise TypeError
        exact = Decimal(str(value))
        if not (exact.is_finite() and exact >= 0 and len(exact.as_tuple().digits) <= _DIGITS):
            raise ValueError
    except (TypeError, ValueError, InvalidOperation):
        raise SpecError(
            f"prices: {name} should be a number of at least 0 with up to {_DIGITS} digits, got {value!r}"
        ) from None
    return Fraction(exact)


def _count(name: str, value: object) -> int:
    if type(value) is not int or value < 0:
        raise SpecError(f"prices: {name} should be a whole number of at least 0, got {value!r}")
    return value


def _plain(amount: Fraction) -> int | float:
    return int(amount) if amount.denominator == 1 else float(amount)


def _tier(last: int | None, price: float) -> dict[str, Any]:
    return {"price": price} if last is None else {"up_to": last, "price": price}
